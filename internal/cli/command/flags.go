package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/cli/term"
	"github.com/balanceq/balanceq/schemas"
)

// The formats of files.
const (
	FormatCSV    = "csv"
	FormatNDJSON = "ndjson"
)

// FileFormat returns the format that was asked for, or else the one that the file's ending tells.
func FileFormat(path, format string) (string, error) {
	switch format {
	case FormatCSV, FormatNDJSON:
		return format, nil
	case "":
	default:
		return "", fmt.Errorf("--format: %q is not known; write csv or ndjson", format)
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return FormatCSV, nil
	case ".ndjson", ".jsonl":
		return FormatNDJSON, nil
	}
	if path == "-" {
		return "", errors.New("--format: is needed for standard input; write csv or ndjson")
	}
	return "", fmt.Errorf("--format: the ending of %q does not tell the format; write csv or ndjson", path)
}

// ParseContracts reads the contract ids of --contract.
func ParseContracts(texts []string) (ids []int64, _ error) {
	for _, text := range texts {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil || id < schemas.MinContractID || id > schemas.MaxContractID {
			return nil, fmt.Errorf("--contract: %q is not a contract id; write a number, for example 70001", term.Shorten(text))
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ParseTime reads a time of a flag: so long ago, or RFC 3339.
func ParseTime(flag, text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return t,
			fmt.Errorf("%s: %q is neither a duration nor an RFC 3339 time; write for example 1h or 2026-01-31T12:00:00Z",
				flag, term.Shorten(text))
	}
	return t, nil
}

// ParseWindow reads --since and --until; zero times where they are empty.
func ParseWindow(since, until string, now time.Time) (from, to time.Time, err error) {
	if since != "" {
		if from, err = ParseTime("--since", since, now); err != nil {
			return from, to, err
		}
	}
	if until != "" {
		if to, err = ParseTime("--until", until, now); err != nil {
			return from, to, err
		}
		if !from.IsZero() && !from.Before(to) {
			return from, to, errors.New("--since and --until: nothing lies between them; give --since the earlier time")
		}
	}
	return from, to, nil
}
