// Package ledger keeps the record of what operators did: which dead letters were replayed, and which unreadable batches
// of the request topic are skipped, by whom. It stands in one partition of a topic of its own, so that it is one order.
package ledger
