// Package processor turns records into outcomes: one record in, exactly one result or dead letter out, or, while no
// verdict can be had, nothing yet.
//
// Verdicts are given by one pure function, decide; the rest of the package carries them out.
//
// It is a part of the program, and no API: what is exported changes without notice.
package processor
