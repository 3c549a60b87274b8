// Package poison spoils memory that is about to be used again, under the race detector. Who still reads it then reads
// garbage in a test, and not what may pass for another contract's balance.
package poison

// With is what spoiled memory is filled with.
const With = 0xdb
