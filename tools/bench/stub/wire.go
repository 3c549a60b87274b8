package stub

import (
	"bufio"
	"bytes"
	"errors"
)

// unsupported answers what no client under measurement sends; the connection ends with it.
var unsupported = []byte("HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

var errUnsupported = errors.New("not a GET without a body, as HTTP/1.1 has it")

// readRequest reads the head of a request (RFC 9112, 2 to 6) and puts its target in the place of what is in buf. last:
// the client wants no further one on this connection.
func readRequest(r *bufio.Reader, buf []byte) (target []byte, last bool, err error) {
	line, err := readLine(r)
	if err != nil {
		return nil, false, err
	}
	rest, ok := bytes.CutPrefix(line, []byte("GET "))
	space := bytes.IndexByte(rest, ' ')
	if !ok || space < 0 || string(rest[space:]) != " HTTP/1.1" {
		return nil, true, errUnsupported
	}
	buf = append(buf[:0], rest[:space]...) // reading on may move the line
	for {
		line, err := readLine(r)
		if err != nil || len(line) == 0 {
			return buf, last, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case !ok, is(name, "Transfer-Encoding"), is(name, "Expect"), is(name, "Upgrade"),
			is(name, "Content-Length") && string(value) != "0":
			return nil, true, errUnsupported
		case is(name, "Connection"):
			last = last || is(value, "close")
		}
	}
}

func is(a []byte, b string) bool { return len(a) == len(b) && bytes.EqualFold(a, []byte(b)) }

// readLine returns a line without its end.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, errUnsupported
	}
	return line, nil
}
