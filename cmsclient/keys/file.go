package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// maxFile is the most that is read of a file, in bytes: keys are a few KiB, the system's certificate bundles 300 KiB.
const maxFile = 1 << 20

// File is what one or more files hold, parsed together (a certificate and its key may be two files). It is safe for
// concurrent use.
type File[T any] struct {
	name  string
	paths []string
	parse func(contents [][]byte) (T, error)
	value atomic.Pointer[T]

	mu     sync.Mutex
	loaded state // of value
	tried  state // as they were last read
	err    error // of the files as they were then; nil: value is what they hold
	told   state // tried, as the last Refresh knew it
	known  state // loaded, as the last Refresh knew it
}

// state tells contents from each other, and also from a failure to read them. A digest, since keys should not be in
// memory more often than needed.
type state [sha256.Size]byte

// Open reads and parses the files at paths; parse gets the contents in the same order, and must not keep them. All
// errors are *FileError with name, the setting that holds the paths.
func Open[T any](name string, paths []string, parse func(contents [][]byte) (T, error)) (*File[T], error) {
	f := &File[T]{name: name, paths: paths, parse: parse}
	if _, err := f.Refresh(); err != nil {
		return nil, err
	}
	return f, nil
}

// Latest is Value as the files are now. What it finds is for Refresh to report all the same.
func (f *File[T]) Latest() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	return f.Value()
}

// Value returns what the files held when they could last be parsed.
func (f *File[T]) Value() T { return *f.value.Load() }

// Failing says why the files, as they were last read, cannot be used; nil: Value is what they hold.
func (f *File[T]) Failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Refresh reads the files again and reports whether Value has changed. It compares contents: Kubernetes replaces files
// by way of symbolic links, and a copied file may keep its time. Files that cannot be read or parsed, as while they are
// being written, leave the value alone. Their error is returned once; then nil, until the files change again.
func (f *File[T]) Refresh() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.look()
	if f.tried == f.told {
		return false, nil
	}
	f.told = f.tried
	if f.err != nil {
		return false, f.err
	}
	changed = f.loaded != f.known
	f.known = f.loaded
	return changed, nil
}

// look reads the files again.
func (f *File[T]) look() {
	contents, current, err := f.read()
	switch {
	case current == f.tried:
		return
	case err != nil:
		f.tried, f.err = current, err
		return
	case current == f.loaded: // the files are again what they were
		f.tried, f.err = current, nil
		return
	}
	f.tried = current
	value, err := f.parse(contents)
	if err != nil {
		f.err = f.failed(f.bases(), err)
		return
	}
	f.value.Store(&value)
	f.loaded, f.err = current, nil
}

// read returns all contents and their state.
func (f *File[T]) read() ([][]byte, state, error) {
	contents := make([][]byte, len(f.paths))
	var digests []byte
	for i, path := range f.paths {
		content, err := readFile(path)
		if err != nil {
			err = f.failed(filepath.Base(path), err)
			return nil, sha256.Sum256([]byte(err.Error())), err
		}
		contents[i] = content
		digest := sha256.Sum256(content)
		digests = append(digests, digest[:]...)
	}
	return contents, sha256.Sum256(digests), nil
}

func (f *File[T]) bases() string {
	bases := make([]string, len(f.paths))
	for i, path := range f.paths {
		bases[i] = filepath.Base(path)
	}
	return strings.Join(bases, ", ")
}

// readFile reads a regular file; anything else might never end. Its errors do not repeat the path.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		return nil, &FileError{What: "this is not a regular file", Fix: "give a file"}
	case info.Size() > maxFile:
		return nil, &FileError{What: fmt.Sprintf("the file is larger than %d bytes", maxFile), Fix: "give the right file"}
	default:
		var content []byte
		if content, err = os.ReadFile(path); err == nil {
			return content, nil
		}
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return nil, &FileError{What: "the file cannot be read", Err: err, Fix: "check that it exists and may be read"}
}
