// Holds one flush of LMDB up, as a slow disk does: this test program itself defines fdatasync() and exports
// it, so that liblmdb calls it.
//
// Threads: any. One at a time.
#pragma once

namespace touchpoint::tests {

class HeldFlush {
  public:
    // The one after so many that still pass, counted from now.
    explicit HeldFlush(int passing);
    ~HeldFlush() { let_go(); }
    HeldFlush(const HeldFlush&) = delete;
    HeldFlush& operator=(const HeldFlush&) = delete;

    bool holds() const;  // somebody waits in it
    void let_go();
};

}  // namespace touchpoint::tests
