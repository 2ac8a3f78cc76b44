// Reads a file with one CloudEvent a line and lets the CNCF's own JavaScript SDK judge each of them, alone and as
// a batch over the HTTP binding. Exit 0: no complaint.
//
//     node judge_cloudevents.mjs EVENTS.ndjson        (npm i cloudevents@10 beside it)
import { readFileSync } from "node:fs";
import { CloudEvent, HTTP } from "cloudevents";

const lines = readFileSync(process.argv[2], "utf8").split("\n").filter((line) => line.length > 0);
let bad = 0;
const complain = (line, error) => {
  bad += 1;
  if (bad <= 5) console.log(`${error.message ?? error}: ${line}`);
};
for (const line of lines) {
  try {
    new CloudEvent(JSON.parse(line), true).validate();
  } catch (error) {
    complain(line, error);
  }
}
for (let at = 0; at < lines.length; at += 500) {
  const piece = lines.slice(at, at + 500);
  try {
    const events = HTTP.toEvent({
      headers: { "content-type": "application/cloudevents-batch+json; charset=UTF-8" },
      body: `[${piece.join(",")}]`,
    });
    if (events.length !== piece.length) throw new Error(`${events.length} of ${piece.length} events of a batch`);
    for (const event of events) event.validate();
  } catch (error) {
    complain(piece[0], error);
  }
}
// A judge that finds nothing wrong in wrong things is none.
let noticed = false;
try {
  new CloudEvent({ specversion: "1.0", id: "1", type: "t", source: "/s", store_id: "x" }, true).validate();
} catch {
  noticed = true;
}
console.log(`${lines.length} events judged, ${bad} complaints; the judge ${noticed ? "notices" : "OVERLOOKS"} a wrong one`);
process.exit(bad === 0 && noticed && lines.length > 0 ? 0 : 1);
