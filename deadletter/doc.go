// Package deadletter reads the dead-letter topic for operators: which dead letters there are and of what kind, and what each of
// them is about. It reads those of any writer that uses Kafka's names (KIP-1191), not only balanceq's.
package deadletter
