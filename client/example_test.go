package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/client/clienttest"
	"github.com/balanceq/balanceq/schemas"
)

// open stands for client.Open in these examples, which have no broker.
func open() *client.Client {
	return clienttest.New(func(r client.Request) clienttest.Answer {
		if r.ContractID == 70404 {
			return clienttest.Answer{Refused: schemas.ReasonContractNotFound, Detail: "the CMS does not know the contract"}
		}
		if r.ContractID == 70999 {
			return clienttest.Answer{Never: true}
		}
		return clienttest.Answer{Balances: []schemas.Balance{{Code: "AVAILABLE", Value: "9811.31", Currency: "EUR"}}}
	})
}

func ExampleClient_Ask() {
	c := open() // client.Open(ctx, client.Config{Brokers: []string{"kafka-1:9092"}})
	defer c.Close(context.Background())

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	answer, err := c.Ask(ctx, client.Request{ContractID: 70001, BalanceCodes: []string{"AVAILABLE", "BLOCKED"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	available, _ := answer.Balance("AVAILABLE")
	fmt.Println(available.Value, available.Currency, "without", answer.Result.MissingBalanceCodes)
	// Output: 9811.31 EUR without [BLOCKED]
}

// A refusal is final, and says why. A wait that ends is not: what becomes of the request is unknown.
func ExampleClient_Ask_errors() {
	c := open()
	defer c.Close(context.Background())

	for _, contract := range []int64{70404, 70999, 0} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		_, err := c.Ask(ctx, client.Request{ContractID: contract, BalanceCodes: []string{"AVAILABLE"}})
		cancel()
		if refused, ok := errors.AsType[*client.RefusedError](err); ok {
			fmt.Println("refused:", refused.Reason)
		} else if unknown, ok := errors.AsType[*client.UnknownError](err); ok {
			fmt.Println("unknown, timeout:", unknown.Timeout())
			unknown.Ticket.Forget() // or unknown.Ticket.Wait(…)
		} else if wrong, ok := errors.AsType[*schemas.RequestError](err); ok {
			fmt.Println("not sent:", wrong.Field)
		}
	}
	// Output:
	// refused: contract-not-found
	// unknown, timeout: true
	// not sent: contractId
}

func ExampleClient_Send() {
	c := open()
	defer c.Close(context.Background())

	ctx := context.Background()
	ticket, err := c.Send(ctx, client.Request{ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}, ID: "statement-7"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// … something else …
	answer, err := ticket.Wait(ctx)
	fmt.Println(answer.Request.ID, answer.Result.Outcome, err)
	// Output: statement-7 complete <nil>
}

// Answers come in any order; each has its request.
func ExampleClient_AskAll() {
	c := open()
	defer c.Close(context.Background())

	requests := slices.Values([]client.Request{
		{ContractID: 70001, BalanceCodes: []string{"AVAILABLE"}},
		{ContractID: 70404, BalanceCodes: []string{"AVAILABLE"}},
		{ContractID: 70002, BalanceCodes: []string{"AVAILABLE"}},
	})
	for answer, err := range c.AskAll(context.Background(), requests) {
		fmt.Println(answer.Request.ContractID, err)
	}
	// Unordered output:
	// 70001 <nil>
	// 70404 client: refused: contract-not-found: the CMS does not know the contract
	// 70002 <nil>
}
