// Package deadletter is what operators do with dead letters: find them, count them, take them out without loss, know what to do
// about them, and put their requests back, each exactly once. It reads those of any writer that uses Kafka's names (KIP-1191),
// not only balanceq's.
package deadletter
