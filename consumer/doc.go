// Package consumer reads the request topic and commits what has been answered.
//
// It takes part in the consumer group (Membership, package group), fetches the partitions that it was granted, lets
// work run ahead of the offset to commit by a bounded window, and has the requests of one contract answered in order by
// queueing them in a lane. What becomes of a request is decided elsewhere (Handler), and what makes its outcome durable
// is, too (Delivery).
//
// The promise: an offset is committed only when the Delivery has every request below it acknowledged, or commits its
// outcome with it; and only under the lease of the member that owns the partition at that time.
//
// It is a part of the program, and no API: what is exported changes without notice.
package consumer
