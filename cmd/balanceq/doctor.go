package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/balanceq/balanceq/cmd/internal/config"
	"github.com/balanceq/balanceq/cmd/internal/doctor"
	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/schemas"

	"github.com/spf13/cobra"
)

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	contract string
	codes    []string
	noCall   bool
	format   string
}

func (p *program) doctorCommand() *cobra.Command {
	o := &doctorOptions{}
	cmd := configured(&cobra.Command{
		Use: "doctor", Short: "Check everything that run needs, and say what to do", Args: noArguments,
		Long: `Checks everything that run needs, in order: configuration, keys and certificates, Kafka and the topics, DNS, TCP
and TLS up to the CMS, this machine's clock, and at last one call for a balance, made as run makes it. Each line says
ok, warn, FAIL or skip (needs something that failed), and what to do. It changes nothing, joins no group and publishes
nothing. The call counts against the quota of the keys; --no-call leaves it out.

Exit code 0: run can work, warnings apart. 1: something failed. 2: wrong usage.`,
		Example: `  balanceq doctor --config balanceq.yaml
  balanceq doctor --config balanceq.yaml --format json | jq 'select(.status == "fail")'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query, err := o.query()
			if err != nil {
				return usageError{err}
			}
			subject := doctor.Subject{Version: versionText(), Query: query}
			subject.Loaded, subject.LoadErr = config.Load(cmd.Flags(), p.environ)
			return p.doctor(cmd, subject, o.format == outputJSON)
		},
	})
	cmd.Flags().StringVar(&o.contract, "contract", "70001", "`id` of the contract to ask about; the default is the sandbox's")
	cmd.Flags().StringSliceVar(&o.codes, "codes", []string{"AVAILABLE"}, "balance `codes` to ask for")
	cmd.Flags().BoolVar(&o.noCall, "no-call", false, "leave out the call for a balance")
	cmd.Flags().StringVar(&o.format, "format", outputText, "how to show the checks, `text|json`")
	return cmd
}

// query is what to ask the CMS, nil for nothing. It is refused as a request would be.
func (o *doctorOptions) query() (*cmsclient.Query, error) {
	if o.format != outputText && o.format != outputJSON {
		return nil, fmt.Errorf("--format: %q is not known; write text or json", shorten(o.format))
	}
	if o.noCall {
		return nil, nil
	}
	e, err := draft{contractID: o.contract, codes: o.codes}.entry("")
	if bad, ok := errors.AsType[*schemas.RequestError](err); ok {
		member, _, _ := strings.Cut(bad.Field, "[")
		return nil, &badRequest{where: flagOf[member], problem: bad.Problem}
	}
	request, err := schemas.DecodeRequest(&schemas.Record{Position: nowhere, Value: e.message.Value})
	return &cmsclient.Query{ContractID: request.ContractID, Codes: request.BalanceCodes, CorrelationID: newRequestID()}, err
}

func (p *program) doctor(cmd *cobra.Command, subject doctor.Subject, asJSON bool) error {
	show := showCheck
	if asJSON {
		show = encodeCheck
	}
	checks := doctor.Checks(subject)
	failed := 0
	for result := range doctor.Run(cmd.Context(), checks) {
		if err := show(p.out, result); err != nil {
			return err
		}
		if result.Status == doctor.Fail {
			failed++
		}
	}
	switch {
	case cmd.Context().Err() != nil:
		return errInterrupted
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, len(checks))
	case asJSON:
		return nil
	}
	_, err := fmt.Fprintln(p.out, "nothing failed")
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
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}
