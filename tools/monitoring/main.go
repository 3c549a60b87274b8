// Command monitoring writes the dashboard of deploy/grafana. Its tests hold the dashboard and the rules of
// deploy/prometheus against the metrics that there are. It is a module of its own, so that neither Grafana's types nor
// Prometheus's parser are among what the program depends on.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	out := flag.String("out", "../../deploy/grafana/balanceq.json", "`file` to write")
	flag.Parse()
	text, err := dashboardJSON()
	if err == nil {
		err = os.WriteFile(*out, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// dashboardJSON is the file as Grafana imports it, indented so that changes can be read.
func dashboardJSON() ([]byte, error) {
	dash, err := build()
	if err != nil {
		return nil, fmt.Errorf("building the dashboard: %w", err)
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(dash); err != nil {
		return nil, fmt.Errorf("encoding the dashboard: %w", err)
	}
	return text.Bytes(), nil
}
