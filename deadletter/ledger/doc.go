// Package ledger keeps the record of what operators did: which dead letters were replayed by whom, and which batches of
// the request topic that cannot be read are skipped. It stands in one partition of a topic of its own, so that it is
// one order.
package ledger
