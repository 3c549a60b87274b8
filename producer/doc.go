// Package producer writes results and dead letters so that they are neither lost, repeated nor reordered.
//
// Each partition has a queue and a producer id of its own. A queue has at most one batch on the wire; what arrives
// meanwhile becomes the next batch, so batches grow with the load and an idle producer sends at once. A batch whose
// fate is unknown is sent again with identical bytes: the brokers recognise its sequence number (KIP-98), and nothing
// overtakes it. Queues whose partitions have the same leader share a request.
//
// It is a part of the program, and no API: what is exported changes without notice.
package producer
