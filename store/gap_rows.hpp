// The gap rows of a stream: a list for each consumer and one for everybody. Within a list the ranges do not
// overlap and stand in order; between lists they may.
//
// Threads: as the transaction that is given.
// On disk: store/README.md, "Tables".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "gateway/core/result.hpp"
#include "gateway/core/streams.hpp"
#include "store/environment.hpp"
#include "store/event_store.hpp"

namespace touchpoint::store::gap_rows {

// The first row of `consumer`'s list ("": everybody's) that ends at `from` or later. Damaged rows are passed
// over.
Result<std::optional<Gap>> from(const Transaction& txn, Table table, Stream stream,
                                const std::string& consumer, Sequence from);

// At most `max` rows of a list that end after `after`, in order.
Result<std::vector<Gap>> list(const Transaction& txn, Table table, Stream stream, const std::string& consumer,
                              Sequence after, std::size_t max);

// Whose lists there are.
Result<std::vector<std::string>> owners(const Transaction& txn, Table table, Stream stream);

// Writes a row. Where its range was explained in its list before, the new row holds.
Result<void> put(Transaction& txn, Table table, const Gap& gap);

// As put(), but a row of the same reason that ends right before it, or reaches into it, becomes one with it:
// what is given up piece by piece is one row. Beyond rows_max of a list another reason is joined, too, and
// the newer one stands.
Result<void> grow(Transaction& txn, Table table, Gap gap);
inline constexpr std::size_t rows_max = 1'000;

// Erases the rows of a list that end at `through` or before, oldest first, and damaged ones among them; at
// most `max`. Returns how many.
Result<std::size_t> erase_through(Transaction& txn, Table table, Stream stream, const std::string& consumer,
                                  Sequence through, std::size_t max);

}  // namespace touchpoint::store::gap_rows
