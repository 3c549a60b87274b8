// Package consumer reads the request topic and commits what has been answered.
//
// It owns a place in the consumer group (Membership), fetches the partitions it was granted, lets work run ahead of the
// committed offset by a bounded window, and keeps the requests of one contract in order by queueing them in a lane. What
// becomes of a record is decided elsewhere (Handler), and when that is durable is decided elsewhere too (Delivery).
//
// The promise: an offset is committed only when every record below it has been finished by the Delivery, and only by the
// member that holds the partition at that time.
package consumer
