// Package client asks balanceq for balances over Kafka, and waits for the answers.
//
//	c, err := client.Open(ctx, client.Config{Brokers: []string{"kafka-1:9092"}})
//	…
//	answer, err := c.Ask(ctx, client.Request{ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}})
//
// Ask blocks until the answer is there or its context ends. A failure is a *RefusedError; that nothing was heard in
// time is an *UnknownError: the request may still be answered, and its Ticket can be waited for again.
//
// One reader serves all who wait, thousands of them, and takes part in no consumer group: any number of processes may
// use the same topics. It begins to read before the first request is sent, so no answer can be missed, and it goes on
// through restarts of brokers, moved leaders and added partitions.
//
// This is public API, as package schemas is: what is exported here only grows within a major version. Package
// clienttest has a client for tests that needs no broker.
package client
