package processor

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// What a request's headers may want, and what comes of it.
func TestReplies(t *testing.T) {
	t.Parallel()
	id := schemas.Header{Key: "id", Value: []byte{0, 255, 1}}
	long := schemas.Header{Key: "id", Value: []byte(strings.Repeat("x", schemas.MaxEchoValue+1))}
	topic := func(name string) schemas.Header {
		return schemas.Header{Key: schemas.HeaderReplyTopic, Value: []byte(name)}
	}
	partition := func(value ...byte) schemas.Header {
		return schemas.Header{Key: schemas.HeaderReplyPartition, Value: value}
	}
	to := func(topic string, partition int32) *schemas.Reply {
		return &schemas.Reply{Topic: topic, Partition: partition}
	}
	for name, test := range map[string]struct {
		headers []schemas.Header
		echo    []schemas.Header
		reply   *schemas.Reply
		refused []string
	}{
		"nothing":            {nil, nil, nil, nil},
		"an id":              {[]schemas.Header{id}, []schemas.Header{id}, nil, nil},
		"a long one":         {[]schemas.Header{long}, nil, nil, []string{RefusedHeader}},
		"an allowed topic":   {[]schemas.Header{id, topic("b")}, []schemas.Header{id}, to("b", -1), nil},
		"and a partition":    {[]schemas.Header{topic("a"), partition(0, 0, 0, 3)}, nil, to("a", 3), nil},
		"one in text":        {[]schemas.Header{topic("a"), partition('3')}, nil, to("a", -1), []string{RefusedPartition}},
		"the results topic":  {[]schemas.Header{topic("results"), partition(0, 0, 0, 3)}, nil, nil, nil},
		"any other":          {[]schemas.Header{id, topic("requests")}, []schemas.Header{id}, nil, []string{RefusedTopic}},
		"a part of its name": {[]schemas.Header{topic("")}, nil, nil, nil},
	} {
		var refused []string
		r := Replies{Echo: []string{"id"}, Results: "results", Topics: []string{"a", "b"},
			Refused: func(cause string) { refused = append(refused, cause) }}
		req := &inflight.Request{Record: schemas.Record{Headers: test.headers}}
		out := schemas.Outcome{Result: &schemas.Result{}}
		r.address(req, &out)
		if !reflect.DeepEqual(out.Result.Echo, test.echo) || !reflect.DeepEqual(out.Reply, test.reply) ||
			!slices.Equal(refused, test.refused) {
			t.Errorf("%s: %v, %+v, refused %v", name, out.Result.Echo, out.Reply, refused)
		}
		r.Refused = nil
		out = schemas.Outcome{DeadLetter: &schemas.DeadLetter{}}
		if r.address(req, &out); out.Reply != nil {
			t.Errorf("%s: a dead letter alone has a copy: %+v", name, out.Reply)
		}
	}
}

// A failure that is announced comes back to who waits for it, and so does that of a record that is no request.
func TestRepliesOfFailures(t *testing.T) {
	notFound := func(context.Context, call) (*http.Response, error) { return refusal(404, "CONTRACT_DOES_NOT_EXIST") }
	publish := func(cfg *Config, _ *cmsclient.Config) {
		cfg.PublishFailures = true
		cfg.Replies = Replies{Echo: []string{"id"}, Topics: []string{"replies"}}
	}
	headers := []schemas.Header{{Key: "id", Value: []byte{1, 0}},
		{Key: schemas.HeaderReplyTopic, Value: []byte("replies")}}
	inWorld(t, notFound, publish, func(t *testing.T, w *world) {
		asked, invalid := request(7, 1), request(0, 2)
		invalid.Err = context.Canceled
		for _, req := range []*inflight.Request{asked, invalid} {
			req.Record.Headers = headers
			w.lane(req.Contract()).submit(req)
		}
		for _, c := range w.await(2, time.Minute) {
			if c.out.DeadLetter == nil || c.out.Result == nil || !reflect.DeepEqual(c.out.Result.Echo, headers[:1]) ||
				c.out.Reply == nil || c.out.Messages() != 3 {
				t.Errorf("outcome %+v", c.out)
			}
		}
	})
}
