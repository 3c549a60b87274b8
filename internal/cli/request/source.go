package request

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/schemas"
)

// source yields requests, one at a time.
type source interface {
	// next returns the next request, or io.EOF after the last one. After a *badRequest the source goes on with the next
	// one; any other error is the end.
	next() (entry, error)
	// line is the one on which that request began, from 1; 0: it is of no file.
	line() int
}

// entry is a request that is ready to be published.
type entry struct {
	where   string // in the input, for messages: "line 7"
	line    int    // as the source's
	Message schemas.Message
	id      string // of the request; "": none
}

// BadRequestError says where the input holds something that is not a valid request.
type BadRequestError struct {
	Where   string // "line 7", "line 7, column contractId", "--contract"
	Problem string
}

func (e *BadRequestError) Error() string { return e.Where + ": " + e.Problem }

// Nowhere is the position at which requests are decoded here. An id made of it says that the request has none: no real
// one may hold a control character.
var Nowhere = schemas.Position{Topic: "\n"}

// newEntry decodes the request for its contract id, which becomes the key, and its id. The error is a
// *schemas.RequestError; the entry is complete all the same, for a caller that wants to publish it nevertheless.
func newEntry(where string, value []byte) (entry, error) {
	req, err := schemas.DecodeRequest(&schemas.Record{Position: Nowhere, Value: value})
	e := entry{where: where, Message: schemas.Message{Value: value}}
	if req.ID != Nowhere.String() {
		e.id = req.ID
	}
	if req.ContractID != 0 {
		e.Message.Key = strconv.AppendInt(nil, req.ContractID, 10)
	}
	return e, err
}

// Draft is a request as texts that have not been checked yet: from flags or a line of CSV.
type Draft struct {
	ContractID string
	Codes      []string
	id         string // "": none
	deadline   string // "": none; RFC 3339 or a duration from now
}

// Entry makes the request. Its error names one of the request's members.
func (d Draft) Entry(where string) (entry, error) {
	if left, err := time.ParseDuration(d.deadline); err == nil {
		d.deadline = time.Now().Add(left).UTC().Format(time.RFC3339Nano)
	}
	e, err := newEntry(where, d.JSON())
	for _, m := range []struct{ name, text string }{
		{"contractId", d.ContractID}, {"balanceCodes", strings.Join(d.Codes, ",")}, {"requestId", d.id},
		{"deadline", d.deadline},
	} {
		if !utf8.ValidString(m.text) { // the JSON has replacement characters, which must not go out unnoticed
			return e, &schemas.RequestError{Field: m.name, Problem: "is not UTF-8; write it as UTF-8"}
		}
	}
	return e, err
}

// JSON is like schemas.Request.AppendJSON, for texts that may be wrong.
func (d Draft) JSON() []byte {
	text := []byte(`{"contractId":`)
	text = appendQuoted(text, d.ContractID)
	text = append(text, `,"balanceCodes":[`...)
	for i, code := range d.Codes {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendQuoted(text, code)
	}
	text = append(text, ']')
	if d.id != "" {
		text = appendQuoted(append(text, `,"requestId":`...), d.id)
	}
	if d.deadline != "" {
		text = appendQuoted(append(text, `,"deadline":`...), d.deadline)
	}
	return append(text, '}')
}

func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error says that s is not UTF-8; entry does too
	return dst
}

// NewID returns an id for a request that must be told apart from all others.
func NewID() string { return uuid.NewString() }

// flagSource makes a request for each contract.
type flagSource struct {
	o    *options
	done int
}

// FlagOf is the flag that sets a request's member.
var FlagOf = map[string]string{"contractId": "--contract", "balanceCodes": "--codes", "requestId": "--id",
	"deadline": "--deadline"}

func (s *flagSource) next() (entry, error) {
	if s.done == len(s.o.contracts) {
		return entry{}, io.EOF
	}
	d := Draft{ContractID: s.o.contracts[s.done], Codes: s.o.codes, id: s.o.id, deadline: s.o.deadline}
	s.done++
	if d.id == "" {
		d.id = NewID()
	}
	e, err := d.Entry("request " + strconv.Itoa(s.done))
	if bad, ok := errors.AsType[*schemas.RequestError](err); ok && !s.o.noValidate {
		member, _, _ := strings.Cut(bad.Field, "[")
		return e, &BadRequestError{Where: FlagOf[member], Problem: bad.Problem}
	}
	return e, nil
}

func (s *flagSource) line() int { return 0 }

// fromLine passes over what begins before a line, valid or not.
type fromLine struct {
	source
	from int
}

func (s fromLine) next() (entry, error) {
	for {
		e, err := s.source.next()
		_, bad := errors.AsType[*BadRequestError](err)
		e.line = s.line()
		if (err == nil || bad) && e.line < s.from {
			continue
		}
		return e, err
	}
}

// checkFlags makes all requests once, so that nothing is published when one of them is not valid.
func checkFlags(o *options) error {
	for s := (&flagSource{o: o}); ; {
		_, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return command.WrongUsage(err)
		}
	}
}

// input is what requests are read from.
type input struct {
	source
	name  string       // "": flags
	size  int64        // of the file in bytes, or the number of requests; -1: not known
	read  atomic.Int64 // how much of size has been read
	close func() error
}

// openInput opens the file, or standard input, or takes the requests from the flags.
func openInput(o *options, stdin io.Reader) (*input, error) {
	in := &input{name: o.file, size: -1, close: func() error { return nil }}
	if o.file == "" {
		in.size = int64(len(o.contracts))
		in.source = &flagSource{o: o}
		return in, checkFlags(o)
	}
	r := stdin
	if o.file == "-" {
		in.name = "standard input"
	} else {
		file, err := os.Open(o.file)
		if err != nil {
			return nil, command.WrongUsage(fmt.Errorf("--file: %w", err))
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
		r, in.close = file, file.Close
	}
	r = &countingReader{r: r, n: &in.read}
	in.source = fromLine{newNDJSONSource(r, o), o.fromLine}
	if o.format == command.FormatCSV {
		in.source = fromLine{newCSVSource(r, o), o.fromLine}
	}
	return in, nil
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
