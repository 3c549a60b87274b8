// Package group takes part in a consumer group of Kafka's, by the classic protocol (Classic) or by KIP-848's (KIP848).
//
// A member says which partitions it was assigned by calling its Owner, which is granted them under a Lease, the right
// to commit. Until the owner has released a partition the member owns it in the group, so that no other member can get
// it; when the group has given it to another all the same, the lease is lost.
package group
