package request

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/balanceq/balanceq/schemas"
)

// ndjsonSource reads a request a line and leaves its bytes as they are. Empty lines are passed over.
type ndjsonSource struct {
	r     *bufio.Reader
	o     *options
	began int
}

func newNDJSONSource(r io.Reader, o *options) *ndjsonSource {
	return &ndjsonSource{r: bufio.NewReaderSize(skipByteOrderMark(r), 64<<10), o: o}
}

func (s *ndjsonSource) next() (entry, error) {
	for {
		text, length, err := s.readLine()
		if err != nil {
			return entry{}, err
		}
		where := "line " + strconv.Itoa(s.began)
		if length > len(text) {
			return entry{}, &BadRequestError{where, fmt.Sprintf("has %d bytes; send at most %d", length, schemas.MaxRequestSize)}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		e, err := newEntry(where, text)
		if err != nil && !s.o.noValidate {
			return e, &BadRequestError{where, err.Error()}
		}
		if e.id == "" && s.o.wait {
			e.id = NewID()
			e.Message.Headers = eventHeaders(e.id)
		}
		return e, nil
	}
}

func (s *ndjsonSource) line() int { return s.began }

// eventHeaders make an event in CloudEvents' binary mode of a request, whose id is then the request's if it has none.
func eventHeaders(id string) []schemas.Header {
	return []schemas.Header{
		{Key: schemas.HeaderEventSpecVersion, Value: []byte("1.0")},
		{Key: schemas.HeaderEventID, Value: []byte(id)},
		{Key: schemas.HeaderEventSource, Value: []byte("balanceq/request")},
		{Key: schemas.HeaderEventType, Value: []byte("balanceq.balance.request.v1")},
	}
}

// readLine returns the next line without its end, and its length. Of a line longer than maxRecord it keeps the
// beginning.
func (s *ndjsonSource) readLine() (text []byte, length int, err error) {
	s.began++
	for {
		piece, err := s.r.ReadSlice('\n')
		length += len(piece)
		text = append(text, piece[:min(len(piece), maxRecord-len(text))]...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && length > 0:
		case err != nil:
			return nil, 0, err
		}
		if length == len(text) {
			text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
			length = len(text)
		}
		return text, length, nil
	}
}

// skipByteOrderMark drops the mark that some programs put in front of UTF-8.
func skipByteOrderMark(r io.Reader) io.Reader {
	buffered := bufio.NewReader(r)
	return &markSkipper{r: buffered}
}

type markSkipper struct {
	r       *bufio.Reader
	started bool
}

func (m *markSkipper) Read(b []byte) (int, error) {
	if !m.started {
		m.started = true
		if mark, err := m.r.Peek(3); err == nil && string(mark) == "\ufeff" {
			_, _ = m.r.Discard(len(mark)) // it is in the buffer
		}
	}
	return m.r.Read(b)
}
