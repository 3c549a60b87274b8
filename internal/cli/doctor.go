package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/cli/request"
	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/doctor"
	"github.com/balanceq/balanceq/schemas"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	contract string
	codes    []string
	noCall   bool
	output   string
}

func doctorCommand(e *command.Env) *cobra.Command {
	o := &doctorOptions{}
	cmd := command.WithConfig(&cobra.Command{
		Use: "doctor", Short: "Check everything that run needs, and say what to do", Args: command.NoArguments,
		Long: `Checks everything that run needs, in order: the configuration and the files that it names, Kafka and the topics,
DNS, TCP and TLS up to the CMS, this machine's clock, and at last one call for a balance, made as run makes it. Each
line says ok, warn, FAIL or skip, and what to do; skip names what it needs and is wrong, and all else is checked. It
changes nothing, joins no group and publishes nothing. The call counts against the quota of the keys; --no-call leaves
it out.

Exit code 0: run can work, warnings apart. 1: something failed. 2: wrong usage.`,
		Example: `  balanceq doctor --config balanceq.yaml
  balanceq doctor --config balanceq.yaml --output json | jq 'select(.status == "fail")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := o.query()
			if err != nil {
				return command.WrongUsage(err)
			}
			subject := doctor.Subject{Version: command.Version(), Query: query}
			subject.Loaded, subject.Problems = config.Inspect(cmd.Flags(), e.Environ)
			return diagnose(cmd.Context(), e.Out, subject, o.output == term.JSON)
		},
	})
	cmd.Flags().StringVar(&o.contract, "contract", "70001",
		"`id` of the contract to ask about; the default is the sandbox's")
	cmd.Flags().StringSliceVar(&o.codes, "codes", []string{"AVAILABLE"}, "balance `codes` to ask for")
	cmd.Flags().BoolVar(&o.noCall, "no-call", false, "leave out the call for a balance")
	cmd.Flags().StringVar(&o.output, "output", term.Text, "how to show the checks, `text|json`")
	return cmd
}

// query is what to ask the CMS, nil for nothing. It is refused as a request would be.
func (o *doctorOptions) query() (*cmsclient.Query, error) {
	if err := term.CheckOutput(o.output); err != nil {
		return nil, err
	}
	if o.noCall {
		return nil, nil
	}
	e, err := request.Draft{ContractID: o.contract, Codes: o.codes}.Entry("")
	if bad, ok := errors.AsType[*schemas.RequestError](err); ok {
		member, _, _ := strings.Cut(bad.Field, "[")
		return nil, &request.BadRequestError{Where: request.FlagOf[member], Problem: bad.Problem}
	}
	asked, err := schemas.DecodeRequest(&schemas.Record{Position: request.Nowhere, Value: e.Message.Value})
	return &cmsclient.Query{ContractID: asked.ContractID, Codes: asked.BalanceCodes, CorrelationID: request.NewID()}, err
}

func diagnose(ctx context.Context, out io.Writer, subject doctor.Subject, asJSON bool) error {
	show := showCheck
	if asJSON {
		show = encodeCheck
	}
	checks := doctor.Checks(subject)
	failed := 0
	for result := range doctor.Run(ctx, checks, subject.Problems) {
		if err := show(out, result); err != nil {
			return err
		}
		if result.Status == doctor.Fail {
			failed++
		}
	}
	switch {
	case ctx.Err() != nil:
		return command.ErrInterrupted
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, len(checks))
	case asJSON:
		return nil
	}
	_, err := fmt.Fprintln(out, "nothing failed")
	return err
}

// showCheck writes a check's line, the further lines of its detail below the first one, and what to do.
func showCheck(w io.Writer, r doctor.Result) error {
	status := string(r.Status)
	if r.Status == doctor.Fail {
		status = "FAIL"
	}
	var b strings.Builder
	label := fmt.Sprintf("%-5s %-20s ", status, r.Name)
	for line := range strings.Lines(r.Detail) {
		fmt.Fprintf(&b, "%-27s%s\n", label, strings.TrimRight(line, "\n"))
		label = ""
	}
	for line := range strings.Lines(r.Fix) {
		fmt.Fprintf(&b, "      fix: %s\n", strings.TrimRight(line, "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func encodeCheck(w io.Writer, r doctor.Result) error {
	return term.WriteJSON(w, r)
}
