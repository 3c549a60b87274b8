// Package deadletter is what operators do with dead letters: find them, count them, take them out without loss, and
// know what to do about them. It reads those of any writer that uses Kafka's names (KIP-1191), not only balanceq's.
// Package replay puts their requests back, package ledger says which were.
//
// It is a part of the program, and no API: what is exported changes without notice.
package deadletter
