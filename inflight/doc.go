// Package inflight has the one type by which consumer, processor and producer know a record between its fetch and the
// acknowledgement of its outcome. The uses of Request and of Slot are the way of a record, from its begin to the
// commit.
package inflight
