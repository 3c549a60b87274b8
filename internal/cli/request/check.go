package request

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/term"
)

// listedLines bounds how many lines that are not valid are listed; the others are only counted.
const listedLines = 20

// badLines are the lines of an input that are not valid.
type badLines struct {
	count int64
	first []error
}

func (b *badLines) add(err error) {
	b.count++
	if len(b.first) < listedLines {
		b.first = append(b.first, err)
	}
}

// error lists them below a headline; nil: there are none.
func (b *badLines) error(headline string) error {
	if b.count == 0 {
		return nil
	}
	all := append([]error{errors.New(headline)}, b.first...)
	if more := b.count - int64(len(b.first)); more > 0 {
		all = append(all, fmt.Errorf("… and %d more", more))
	}
	return errors.Join(all...)
}

// checkInput reads all of an input without publishing any of it. maxBytes is as publisher's.
func checkInput(ctx context.Context, c *command.Call, in *input, maxBytes int) (valid int64, bad badLines, err error) {
	progress := term.NewProgress(c.Err, in.size)
	defer progress.End()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	check := publisher{in: in, topic: c.Config.Topics.Requests, maxBytes: maxBytes}
	for r := range readAhead(ctx, in) {
		if r.err == nil {
			r.err = check.checkSize(&r.entry)
		}
		_, isBad := errors.AsType[*BadRequestError](r.err)
		switch {
		case isBad:
			bad.add(check.inputError(r.err))
		case r.err != nil:
			return valid, bad, check.inputError(r.err)
		default:
			valid++
		}
		progress.Draw(in.read.Load(), fmt.Sprintf("%d checked", valid+bad.count))
	}
	return valid, bad, command.Interrupted(ctx, ctx.Err())
}

// checkFile refuses a file with lines that are not valid before any of it is published. Standard input is read once,
// so its lines are checked one by one on their way.
func checkFile(ctx context.Context, c *command.Call, o *options, maxBytes int) error {
	if o.file == "" || o.noValidate || o.skipInvalid {
		return nil
	}
	in, err := openInput(o, nil)
	if err != nil {
		return err
	}
	if in.size < 0 { // a pipe under a name of its own: its lines come once
		return in.close()
	}
	_, bad, err := checkInput(ctx, c, in, maxBytes)
	if err != nil {
		return err
	}
	return bad.error(was(bad.count, "line") +
		" not valid, so nothing was published; correct them, or leave them out with --skip-invalid")
}

// dryRun says what would be published, without Kafka: how large a message its topic takes is not known.
func dryRun(ctx context.Context, c *command.Call, o *options, stdin io.Reader) error {
	in, err := openInput(o, stdin)
	if err != nil {
		return err
	}
	valid, bad, err := checkInput(ctx, c, in, 0)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.Out, "%s valid; nothing was published\n", is(valid, "request")); err != nil {
		return err
	}
	return bad.error(is(bad.count, "line") + " not valid")
}

// is is like "1 line is" or "2 lines are".
func is(n int64, noun string) string {
	if n == 1 {
		return term.Count(n, noun) + " is"
	}
	return term.Count(n, noun) + " are"
}
