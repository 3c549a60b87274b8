package cmsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
)

// answers is a CMS that gives one answer after the other.
type answers []struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	next := (*a)[0]
	*a = (*a)[1:]
	return &http.Response{StatusCode: next.status, ContentLength: int64(len(next.body)),
		Body: io.NopCloser(strings.NewReader(next.body))}, nil
}

// A caller asks for permission first, and decides what to ask for when it has it.
func ExampleClient_Admit() {
	cfg := cmsclient.DefaultConfig()
	cfg.URL = "https://cms.example.com/processing"
	cfg.Transport = &answers{{200, `{"contractBalances":[{"balanceCode":"AVAILABLE","balanceId":7,` +
		`"balanceCurrency":"EUR","balanceValue":9811.31}]}`}}
	client, err := cmsclient.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	call, err := client.Admit(ctx) // waits while the breaker is open, after a 429, while halted, for the limits
	if err != nil {
		fmt.Println(err) // ctx's
		return
	}
	defer call.Release()
	answer, err := call.Get(ctx, cmsclient.Query{
		ContractID: 40512345, Codes: []string{"AVAILABLE", "BLOCKED"}, CorrelationID: "6fd1cb0a-0001",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range answer.Balances {
		fmt.Println(b.Code, b.Value, b.Currency)
	}
	// Output: AVAILABLE 9811.31 EUR
}

// The class of a failed call says what to do about it.
func ExampleError() {
	cfg := cmsclient.DefaultConfig()
	cfg.URL = "https://cms.example.com/processing"
	cfg.Transport = &answers{
		{404, `{"Errors":{"Error":[{"Source":"MASTERCARD PROCESSING","ReasonCode":"CONTRACT_DOES_NOT_EXIST",` +
			`"Description":"Contract with id 99999 not found."}]}}`},
		{503, ""},
	}
	client, err := cmsclient.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	backoff := cmsclient.NewBackoff(time.Millisecond, time.Second)
	for range 2 {
		call, err := client.Admit(context.Background())
		if err != nil {
			return
		}
		_, err = call.Get(context.Background(), cmsclient.Query{
			ContractID: 99999, Codes: []string{"AVAILABLE"}, CorrelationID: "6fd1cb0a-0002",
		})
		failed, ok := errors.AsType[*cmsclient.Error](err)
		if !ok {
			return
		}
		switch failed.Class {
		case cmsclient.ContractNotFound, cmsclient.Rejected:
			fmt.Println("give up:", failed.Class, failed.Status)
		case cmsclient.Transient, cmsclient.Undecodable:
			again := backoff.Next(failed.RetryAfter) <= time.Second
			fmt.Println("ask again within a second:", again)
		case cmsclient.Throttled, cmsclient.Halting, cmsclient.Undecryptable:
			fmt.Println("no fault of this request: Admit waits until it is over")
		}
	}
	// Output:
	// give up: contract-not-found 404
	// ask again within a second: true
}

// Settings that contradict each other are named by the caller's own names for them.
func ExampleSettings_Check() {
	s := cmsclient.DefaultSettings()
	s.URL = "https://cms.example.com/processing"
	s.Timeout = 8 * time.Second
	for _, wrong := range s.Check(func(field string) string { return "--" + strings.ToLower(field) }) {
		fmt.Println(wrong.Field, wrong.With)
		fmt.Println(wrong.What)
		fmt.Println(wrong.Fix)
	}
	// Output:
	// Breaker.Window [Timeout]
	// 10s is less than twice --timeout (8s), so calls that time out would be forgotten before they are counted
	// set at least 16s
}

// openings counts how often the breaker opened. An observer implements what it wants to hear of.
type openings int

// BreakerChanged implements cmsclient.BreakerObserver.
func (n *openings) BreakerChanged(from, to cmsclient.BreakerState, failing cmsclient.Failing) {
	if to == cmsclient.BreakerOpen {
		*n++
		fmt.Println(from, "to", to, "after", failing.Cause)
	}
}

func ExampleObserver() {
	cfg := cmsclient.DefaultConfig()
	cfg.URL = "https://cms.example.com/processing"
	cfg.Breaker.MinCalls = 3
	cfg.Transport = &answers{{503, ""}, {503, ""}, {500, ""}}
	var opened openings
	client, err := cmsclient.New(cfg, &opened)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	for range cfg.Breaker.MinCalls {
		call, err := client.Admit(context.Background())
		if err != nil {
			return
		}
		_, _ = call.Get(context.Background(), cmsclient.Query{
			ContractID: 40512345, Codes: []string{"AVAILABLE"}, CorrelationID: "6fd1cb0a-0003",
		})
	}
	fmt.Println(client.Status().Breaker, int(opened))
	// Output:
	// closed to open after status 503 (2), status 500 (1)
	// open 1
}
