// Package inflight has the one type by which consumer, processor and producer know a record between its fetch and the
// acknowledgement of its outcome. Whoever has a Request can follow it with "find references" from its begin to the commit.
package inflight
