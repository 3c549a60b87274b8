package client_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/balanceq/balanceq/client"
	"github.com/balanceq/balanceq/internal/kafkatest"
	"github.com/balanceq/balanceq/schemas"
)

// Each of many who ask at the same time gets the answer to its own question.
func TestAsk(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	cfg := topics(t, broker, 3, 4)
	startService(t, broker.Brokers(), cfg.Requests, cfg.Results, answerAll)
	c := opened(t, cfg)
	ctx := within(t)
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			r := client.Request{ContractID: int64(70_000 + i%50), BalanceCodes: []string{"AVAILABLE", fmt.Sprint("C", i)},
				ID: "mine"}
			a, err := c.Ask(ctx, r)
			if err != nil {
				t.Error(err)
				return
			}
			if b, ok := a.Balance(r.BalanceCodes[1]); !ok || a.Result.ContractID != r.ContractID || a.Request.ID != "mine" ||
				b.Value != "1.00" {
				t.Errorf("asked %+v, got %+v", r, a)
			}
		})
	}
	wg.Wait()
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
	_, err := c.Ask(ctx, client.Request{ContractID: 1, BalanceCodes: []string{"A"}})
	if !errors.Is(err, client.ErrClosed) {
		t.Errorf("asked a closed client: error %v", err)
	}
}

// A failure that is announced on the results topic is an error with its reason.
func TestRefusedOnResults(t *testing.T) {
	t.Parallel()
	broker := kafkatest.Shared(t)
	cfg := topics(t, broker, 1, 1)
	startService(t, broker.Brokers(), cfg.Requests, cfg.Results,
		func(rec *schemas.Record, q schemas.Request) ([]schemas.Message, time.Duration) {
			r := resultOf(rec, q)
			r.Outcome, r.Reason, r.Balances = schemas.OutcomeFailed, schemas.ReasonContractNotFound, nil
			return []schemas.Message{r.Message(rec.Key)}, 0
		})
	c := opened(t, cfg)
	_, err := c.Ask(within(t), client.Request{ContractID: 1, BalanceCodes: []string{"A"}, ID: "mine"})
	refused, ok := errors.AsType[*client.RefusedError](err)
	if !ok || refused.Reason != schemas.ReasonContractNotFound || refused.Request.ID != "mine" {
		t.Errorf("error %v", err)
	}
}
