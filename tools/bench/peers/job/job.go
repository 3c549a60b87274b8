// Package job is what all Go peers do alike: read a request, ask the CMS, make a result or a dead letter. Only their
// ways through Kafka differ.
package job

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	attempts = 3
	timeout  = 10 * time.Second // of a call
	pause    = 100 * time.Millisecond
)

// Job is what the environment asks for.
type Job struct {
	Brokers                       []string
	Group                         string
	Requests, Results, DeadLetter string // topics
	InFlight                      int    // calls at once

	cms    string
	client *http.Client
}

type request struct {
	RequestID    string   `json:"requestId"`
	ContractID   string   `json:"contractId"`
	BalanceCodes []string `json:"balanceCodes"`
}

type balance struct {
	Code     string      `json:"balanceCode"`
	Currency string      `json:"balanceCurrency,omitempty"`
	ID       json.Number `json:"balanceId"`
	Value    json.Number `json:"balanceValue,omitempty"`
}

type result struct {
	RequestID   string    `json:"requestId"`
	ContractID  string    `json:"contractId"`
	Balances    []balance `json:"balances"`
	RetrievedAt time.Time `json:"retrievedAt"`
}

type deadLetter struct {
	Reason  string `json:"reason"`
	Request []byte `json:"request"`
}

// FromEnvironment reads BENCH_* and returns a context that SIGTERM ends.
func FromEnvironment() (context.Context, Job) {
	inFlight, err := strconv.Atoi(os.Getenv("BENCH_IN_FLIGHT"))
	if err != nil {
		Fail(fmt.Errorf("BENCH_IN_FLIGHT: %w", err))
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: inFlight, // its default of 2 makes a connection for most calls
		DisableCompression:  true,
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	return ctx, Job{
		Brokers: strings.Split(os.Getenv("BENCH_BROKERS"), ","), Group: os.Getenv("BENCH_GROUP"),
		Requests: os.Getenv("BENCH_REQUESTS"), Results: os.Getenv("BENCH_RESULTS"),
		DeadLetter: os.Getenv("BENCH_DEADLETTERS"), InFlight: inFlight, cms: os.Getenv("BENCH_CMS_URL"),
		client: &http.Client{Transport: transport, Timeout: timeout},
	}
}

// Fail ends the program because of an error.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Do answers a request: with what to write, and to which topic. Its error is that of ctx.
func (j Job) Do(ctx context.Context, value []byte) (topic string, answer []byte, err error) {
	var r request
	failed := json.Unmarshal(value, &r)
	for attempt := 0; failed == nil && attempt < attempts; attempt++ {
		if attempt > 0 {
			select {
			case <-ctx.Done():
				return "", nil, ctx.Err()
			case <-time.After(pause << attempt):
			}
		}
		var balances []balance
		balances, again, err := j.ask(ctx, r)
		switch {
		case ctx.Err() != nil:
			return "", nil, ctx.Err()
		case err == nil:
			answer, err = json.Marshal(result{r.RequestID, r.ContractID, balances, time.Now().UTC()})
			return j.Results, answer, err
		case !again:
			failed = err
		}
		if attempt == attempts-1 {
			failed = err
		}
	}
	answer, err = json.Marshal(deadLetter{failed.Error(), value})
	return j.DeadLetter, answer, err
}

// ask makes one call. again says whether another one may do better.
func (j Job) ask(ctx context.Context, r request) (balances []balance, again bool, err error) {
	target := j.cms + "/contracts/" + url.PathEscape(r.ContractID) + "/balances?balance_codes=" +
		strings.Join(r.BalanceCodes, ",")
	call, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, false, err
	}
	call.Header.Set("Accept", "application/json")
	response, err := j.client.Do(call)
	if err != nil {
		return nil, true, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, true, err
	}
	if response.StatusCode != http.StatusOK {
		again = response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests
		return nil, again, fmt.Errorf("status %d", response.StatusCode)
	}
	var answer struct {
		ContractBalances []balance `json:"contractBalances"`
	}
	err = json.Unmarshal(body, &answer)
	return answer.ContractBalances, false, err
}
