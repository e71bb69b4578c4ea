// Package tree owns a copy of the directory's entries arranged for searching.
//
// It is an applier of internal/replica: entries arrive as changes of the
// journal, in order, and stand in one bbolt bucket together with everything
// that finds them. What it promises:
//
//   - entries are compact records: attribute names are numbers, repeated values
//     words of a dictionary, a name is its last part and its parent's number;
//   - indexes are exact and ordered. A key holds the full normal form of a
//     value (its first 192 octets and a digest when longer), and behind it the
//     precise set of entries, in slices of 65,536 numbers, so that one change
//     rewrites at most 8 KiB however many entries share a value. No set ever
//     degrades into a range;
//   - an index proposes, the filter decides: every candidate is tested against
//     the whole filter, with the three truth values of RFC 4511 §4.5.1.7;
//   - a search is a Scan that goes in steps. Between two steps it holds no read
//     transaction, so a slow client pins nothing;
//   - everything here can be deleted and is rebuilt from the journal.
package tree
