package schemas

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestEcho(t *testing.T) {
	t.Parallel()
	binary := []byte{0, 1, 0xff, 0xfe, '\n', 0, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16} // as Spring's are
	longest, tooLong := bytes.Repeat([]byte("x"), MaxEchoValue), bytes.Repeat([]byte("x"), MaxEchoValue+1)
	names := []string{"a", "b"}
	for name, test := range map[string]struct {
		headers []Header
		want    []Header
		tooLong int
	}{
		"none":             {nil, nil, 0},
		"no such":          {[]Header{{"A", binary}, {"c", binary}}, nil, 0},
		"binary":           {[]Header{{"c", nil}, {"a", binary}}, []Header{{"a", binary}}, 0},
		"in names' order":  {[]Header{{"b", binary}, {"a", longest}}, []Header{{"a", longest}, {"b", binary}}, 0},
		"the last of two":  {[]Header{{"a", longest}, {"a", binary}}, []Header{{"a", binary}}, 0},
		"null":             {[]Header{{"a", nil}}, []Header{{"a", nil}}, 0},
		"empty":            {[]Header{{"a", []byte{}}}, []Header{{"a", []byte{}}}, 0},
		"too long":         {[]Header{{"a", tooLong}, {"b", binary}}, []Header{{"b", binary}}, 1},
		"the last is long": {[]Header{{"a", binary}, {"a", tooLong}, {"b", tooLong}}, nil, 2},
	} {
		echo, n := Echo(&Record{Headers: test.headers}, names)
		if !reflect.DeepEqual(echo, test.want) || n != test.tooLong {
			t.Errorf("%s: %v (%d too long), want %v (%d)", name, echo, n, test.want, test.tooLong)
		}
	}
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	topic := Header{HeaderReplyTopic, []byte("replies")}
	highest, minusOne := []byte{0x7f, 255, 255, 255}, []byte{255, 255, 255, 255}
	for name, test := range map[string]struct {
		headers   []Header
		topic     string
		partition int32
		malformed bool
	}{
		"none":               {nil, "", NoPartition, false},
		"others":             {[]Header{{"x", []byte("y")}}, "", NoPartition, false},
		"a topic":            {[]Header{topic}, "replies", NoPartition, false},
		"the last topic":     {[]Header{{HeaderReplyTopic, []byte("first")}, topic}, "replies", NoPartition, false},
		"a partition":        {[]Header{topic, {HeaderReplyPartition, []byte{0, 0, 1, 2}}}, "replies", 258, false},
		"the highest":        {[]Header{{HeaderReplyPartition, highest}, topic}, "replies", 1<<31 - 1, false},
		"a negative one":     {[]Header{topic, {HeaderReplyPartition, minusOne}}, "replies", NoPartition, true},
		"in decimal":         {[]Header{topic, {HeaderReplyPartition, []byte("3")}}, "replies", NoPartition, true},
		"a null one":         {[]Header{topic, {HeaderReplyPartition, nil}}, "replies", NoPartition, true},
		"partition, no name": {[]Header{{HeaderReplyPartition, []byte("3")}}, "", NoPartition, false},
		"an empty name":      {[]Header{{HeaderReplyTopic, []byte{}}}, "", NoPartition, false},
	} {
		topic, partition, malformed := ReadReply(&Record{Headers: test.headers})
		if string(topic) != test.topic || partition != test.partition || malformed != test.malformed {
			t.Errorf("%s: %q, %d, %t", name, topic, partition, malformed)
		}
	}
}

func TestOwnHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ce_id", "CE_subject", "content-type", "Content-Type", "traceparent", "tracestate",
		HeaderReason, HeaderReplayOf, HeaderErrorsTopic, "__TypeId__", "__value_schema_id"} {
		if !OwnHeader(name) {
			t.Errorf("%s may come back", name)
		}
	}
	for _, name := range []string{"kafka_correlationId", "correlationId", "x-correlation-id", "REPLY_CORRELATION_ID",
		"ceremony", "_x", HeaderReplyTopic} {
		if OwnHeader(name) {
			t.Errorf("%s may not come back", name)
		}
	}
}

// What comes back stands behind what a result has by itself, and in no other buffer than the one that was made for it.
func TestResultWithEcho(t *testing.T) {
	t.Parallel()
	parent := "00-" + strings.Repeat("a", 32) + "-" + strings.Repeat("b", 16) + "-01"
	trace := Trace{Parent: []byte(parent), State: []byte("x=y")}
	echo := []Header{{"a", []byte{0, 255}}, {"b", nil}}
	plain, with := Result{Trace: trace}, Result{Trace: trace, Echo: echo}
	before, after := plain.Message(nil).Headers, with.Message(nil).Headers
	if !reflect.DeepEqual(after[:len(before)], before) || !reflect.DeepEqual(after[len(before):], echo) {
		t.Errorf("%v became %v", before, after)
	}
	if cap(after) != len(after) {
		t.Errorf("room for %d headers, %d are there", cap(after), len(after))
	}
}

// A dead letter keeps what a client knows its request by, and the replay's result has it again.
func TestEchoOfAReplay(t *testing.T) {
	t.Parallel()
	id := []byte{0, 1, 2, 0xff}
	request := Record{Position: Position{"requests", 1, 2}, Value: []byte("{}"),
		Headers: []Header{{"kafka_correlationId", id}, {HeaderReplyTopic, []byte("replies")}}}
	letter := (&DeadLetter{Record: &request, Reason: ReasonExpired}).Message(Origin{Group: "g"})
	dead := &Record{Position: Position{"deadletters", 0, 7}, Value: letter.Value, Headers: letter.Headers}
	replayed := ReplayMessage(dead, "run", Trace{})
	rec := &Record{Headers: replayed.Headers}
	echo, _ := Echo(rec, []string{"kafka_correlationId"})
	if topic, _, _ := ReadReply(rec); len(echo) != 1 || !bytes.Equal(echo[0].Value, id) || string(topic) != "replies" {
		t.Errorf("of %v there is %v, and a copy for %q", replayed.Headers, echo, topic)
	}
}

// A record without such headers costs nothing.
func TestNoEchoNoAllocation(t *testing.T) {
	rec := &Record{Headers: []Header{{"ce_id", []byte("1")}, {"x", []byte("y")}}}
	names := []string{"a", "b", "c", "d"}
	n := testing.AllocsPerRun(100, func() {
		echo, _ := Echo(rec, names)
		topic, _, _ := ReadReply(rec)
		if echo != nil || topic != nil {
			t.Error("there is something")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
