package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/schemas"
)

// asksCommand makes this program the one that asks, in a process of its own: its memory is measured.
const asksCommand = "asks"

// unsteady is the part of the requests that are not counted, the first ones: one in so many.
const unsteady = 3

// asked is one request of it. It has no pointers, so that it weighs little in the process that is measured.
type asked struct {
	ID   uuid.UUID
	Due  int64 // Unix nanoseconds
	Took time.Duration
}

// asks is what the process that asks tells.
type asks struct {
	Asked    int
	Answered []asked // but for the first ones
	Wrong    int     // answers to another question
	Unknown  int
	Most     int64 // requests without an answer at a time
	Failing  int   // tries to read or write that have failed
	Failure  string
	PeakRSS  int64 // bytes
	CPU      time.Duration
}

// askAll is the process that asks. args are brokers, the topics of requests and results, the rate, how many requests,
// for how many contracts, and the file for a CPU profile, "" for none.
func askAll(ctx context.Context, args []string, w io.Writer) error {
	if len(args) != 7 {
		return errors.New("asks: seven arguments are wanted")
	}
	rate, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	total, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	contracts, err := strconv.Atoi(args[5])
	if err != nil {
		return err
	}
	heard := new(failures)
	c, err := client.Open(ctx, client.Config{Brokers: strings.Split(args[0], ","), Requests: args[1], Results: args[2],
		Observer: heard})
	if err != nil {
		return err
	}
	a := &asker{client: c, contracts: contracts, steady: total / unsteady}
	var got asks
	err = profiled(args[6], func() (err error) {
		got, err = a.atRate(ctx, rate, total)
		return err
	})
	heard.Lock()
	defer heard.Unlock()
	got.Failing, got.Failure = heard.n, heard.last
	return errors.Join(err, c.Close(ctx), json.NewEncoder(w).Encode(got))
}

// asker asks, and counts.
type asker struct {
	client    *client.Client
	contracts int
	steady    int // the first request that counts: before that, the service gets into its stride

	mu      sync.Mutex
	waiting int64
	got     asks
}

func (a *asker) atRate(ctx context.Context, rate, total int) (asks, error) {
	a.got.Asked, a.got.Answered = total, make([]asked, 0, total-a.steady)
	var wg sync.WaitGroup
	due := time.Now()
	for i := 0; i < total && wait.Sleep(ctx, time.Until(due)); i++ {
		at := due
		wg.Go(func() { a.one(ctx, i, at) })
		due = due.Add(time.Second / time.Duration(rate))
	}
	wg.Wait()
	u, err := usageOf(os.Getpid())
	a.got.PeakRSS, a.got.CPU = u.peakRSS, u.cpu
	return a.got, err
}

func (a *asker) one(ctx context.Context, i int, due time.Time) {
	a.begin()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	contract := int64(firstContract + i%a.contracts)
	answer, err := a.client.Ask(ctx, client.Request{ContractID: contract, BalanceCodes: []string{"AVAILABLE", "BLOCKED"}})
	a.end(i, contract, due, answer, err)
}

func (a *asker) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting++
	a.got.Most = max(a.got.Most, a.waiting)
}

func (a *asker) end(i int, contract int64, due time.Time, answer *client.Answer, err error) {
	took := time.Since(due)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting--
	switch {
	case err != nil:
		a.got.Unknown++
	case answer.Result.ContractID != contract:
		a.got.Wrong++
	case i >= a.steady:
		id := uuid.MustParse(answer.Result.RequestID) // package client has made it
		a.got.Answered = append(a.got.Answered, asked{ID: id, Due: due.UnixNano(), Took: took})
	}
}

// failures are the tries to read or write that have failed.
type failures struct {
	sync.Mutex
	n    int
	last string
}

func (*failures) Sent()                                  {}
func (*failures) Answered(time.Duration, schemas.Reason) {}
func (*failures) Unanswered()                            {}

func (f *failures) Failing(err error) {
	f.Lock()
	defer f.Unlock()
	f.n, f.last = f.n+1, err.Error()
}
