// Package inflight has the one type by which consumer, processor and producer know a record from its start to its
// acknowledgement. The uses of Request and of Slot are the way of a record, from its begin to the commit.
//
// It is a part of the program, and no API: what is exported changes without notice.
package inflight
