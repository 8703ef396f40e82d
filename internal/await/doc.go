// Package await is for tests that wait for what other goroutines and processes
// do: until a condition holds, and for lines of a log.
//
//	Until, True  try again and again until it is so, or fail the test
//	Log          a log that may be written and read at once
//
// It refuses to own sleeping: nothing waits for a time to pass.
package await
