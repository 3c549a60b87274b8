package keys

import "errors"

// FileError says what is wrong with a file, and how to fix it.
type FileError struct {
	Name  string // of the setting that holds the path; "" from Parse
	Files string // the files' names, without their folders; "" from Parse
	What  string // "the file holds no private key"
	Err   error  // why; nil: What says all
	Fix   string // "give the key"; "": What is all that is known
}

// Error returns one line.
func (e *FileError) Error() string {
	text := e.Problem()
	if e.Name != "" {
		text = e.Name + " (" + e.Files + "): " + text
	}
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// Problem is what is wrong and why, without the name, the files and the fix.
func (e *FileError) Problem() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap returns why.
func (e *FileError) Unwrap() error { return e.Err }

// failed adds to an error of these files what only f knows.
func (f *File[T]) failed(files string, err error) error {
	known := FileError{What: err.Error()}
	if e, ok := errors.AsType[*FileError](err); ok {
		known = *e
	}
	known.Name, known.Files = f.name, files
	return &known
}
