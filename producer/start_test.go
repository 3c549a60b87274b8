package producer

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/segmentio/kafka-go"
)

// A start that is given up before it begins does not begin, although the answer is at hand.
func TestFirstLookGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := firstLook(ctx, zerolog.Nop(), func(context.Context) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// A start outlives brokers that do not answer, and ends with the first answer or when the time for it is up.
func TestFirstLook(t *testing.T) {
	answers := map[string]struct {
		answer error
		silent int // tries before it
		want   error
		tries  int // 0: as many as there is time for
	}{
		"at once":        {nil, 0, nil, 1},
		"the third try":  {nil, 2, nil, 3},
		"a refusal":      {kafka.UnknownTopicOrPartition, 0, kafka.UnknownTopicOrPartition, 1},
		"a late refusal": {kafka.TopicAuthorizationFailed, 2, kafka.TopicAuthorizationFailed, 3},
		"no broker":      {nil, 1000, io.ErrUnexpectedEOF, 0},
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries, began := 0, time.Now()
				err := firstLook(t.Context(), zerolog.Nop(), func(context.Context) error {
					if tries++; tries <= test.silent {
						return io.ErrUnexpectedEOF
					}
					return test.answer
				})
				if !errors.Is(err, test.want) || test.tries > 0 && tries != test.tries || time.Since(began) > startTimeout {
					t.Errorf("%v after %d tries, want %v after %d", err, tries, test.want, test.tries)
				}
			})
		})
	}
}
