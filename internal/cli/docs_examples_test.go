package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"

	"github.com/balanceq/balanceq/internal/cli/command"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/schemas"
)

// block is a fenced block of code; mark is the HTML comment on the line before it.
type block struct{ mark, language, text string }

var blockPattern = regexp.MustCompile("(?ms)^(?:<!-- ([^\n]+) -->\n)?```(\\w*)\n(.*?)^```$")

func blocks(text string) []block {
	var found []block
	for _, m := range blockPattern.FindAllStringSubmatch(text, -1) {
		found = append(found, block{m[1], m[2], m[3]})
	}
	return found
}

// Every command of balanceq that a page shows is one, with flags that exist: it is parsed and not run.
func TestDocsCommands(t *testing.T) {
	shown := regexp.MustCompile(`^(?:\w+=\S+ )*(?:(?:bin/)?balanceq|go run \./cmd/balanceq) (.*)$`)
	for page, text := range pages(t) {
		if page == changelog {
			continue
		}
		var commands []string
		for _, b := range blocks(text) {
			if b.language != "sh" {
				continue
			}
			for line := range strings.Lines(strings.ReplaceAll(b.text, "\\\n", " ")) {
				line, _, _ = strings.Cut(line, " #")
				line, _, _ = strings.Cut(line, " > ")
				for part := range strings.SplitSeq(line, "|") {
					if m := shown.FindStringSubmatch(strings.TrimSpace(part)); m != nil {
						commands = append(commands, m[1])
					}
				}
			}
		}
		for _, m := range regexp.MustCompile("`(?:bin/)?balanceq\\s+([^`]+)`").FindAllStringSubmatch(codeless(text), -1) {
			commands = append(commands, m[1])
		}
		for _, command := range commands {
			if err := parseCommand(strings.Fields(command)); err != nil {
				t.Errorf("%s: balanceq %s: %v", page, command, err)
			}
		}
		if len(commands) == 0 && (page == readme || page == operating || page == runbook) {
			t.Errorf("%s shows no command", page)
		}
	}
}

func parseCommand(args []string) error {
	cmd, rest, err := Root(&command.Env{}).Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

// Marked examples are valid: "schema: NAME", "event" (structured CloudEvents) and "config" (a file of the
// configuration).
func TestDocsExamples(t *testing.T) {
	seen := map[string]int{}
	for page, text := range pages(t) {
		for _, b := range blocks(text) {
			var err error
			name, isSchema := strings.CutPrefix(b.mark, "schema: ")
			switch {
			case isSchema:
				err = validateExample(t, name, b.text)
			case b.mark == "event":
				_, err = schemas.DecodeRequest(&schemas.Record{Value: []byte(b.text),
					Headers: []schemas.Header{{Key: schemas.HeaderContentType, Value: []byte("application/cloudevents+json")}}})
			case b.mark == "config":
				err = loadExample(t, b.text)
			case b.mark == "values": // of the Helm chart, whose tests look at them
				continue
			case b.language == "json" || b.language == "yaml":
				t.Errorf("%s: an example in %s is not marked:\n%s", page, b.language, b.text)
			default:
				continue
			}
			seen[page+" "+b.mark]++
			if err != nil {
				t.Errorf("%s: %s: %v in\n%s", page, b.mark, err, b.text)
			}
		}
	}
	for _, mark := range []string{readme + " config", readme + " schema: balance-request", readme +
		" schema: balance-result",
		contracts + " schema: balance-request", contracts + " schema: balance-result",
		contracts + " schema: balance-deadletter-headers", contracts + " event", operating + " config"} {
		if seen[mark] == 0 {
			t.Errorf("no example is marked %q", mark)
		}
	}
}

func validateExample(t *testing.T, name, text string) error {
	t.Helper()
	file, err := schemas.Files.Open("v1/" + name + ".schema.json")
	if err != nil {
		return err
	}
	defer file.Close()
	schema, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("urn:"+name, schema); err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if err := c.MustCompile("urn:" + name).Validate(doc); err != nil {
		return err
	}
	switch name {
	case "balance-request":
		_, err = schemas.DecodeRequest(&schemas.Record{Value: []byte(text)})
	case "balance-result":
		_, err = schemas.DecodeResult([]byte(text))
	}
	return err
}

func loadExample(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "balanceq.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	flags := pflag.NewFlagSet("balanceq", pflag.ContinueOnError)
	config.Register(flags)
	if err := flags.Parse([]string{"--config", path}); err != nil {
		return err
	}
	var environ []string // the secrets that the example's reader has there
	for word, variable := range map[string]string{
		"sasl:":  "BALANCEQ_KAFKA_SASL_PASSWORD=secret",
		"oauth:": "BALANCEQ_KAFKA_SASL_OAUTH_CLIENT_SECRET=secret",
		"oauth1": "BALANCEQ_CMS_AUTH_CONSUMER_KEY=" + strings.Repeat("c", 48) + "!" + strings.Repeat("k", 48),
	} {
		if strings.Contains(text, word) {
			environ = append(environ, variable)
		}
	}
	loaded, err := config.Load(flags, environ)
	if err != nil {
		return err
	}
	for _, w := range loaded.Warnings {
		t.Error("the example provokes a warning:", w)
	}
	return loaded.Config.ValidateRun()
}
