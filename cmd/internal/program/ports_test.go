package program

import (
	"os"
	"sync/atomic"
)

// ports counts through a part of 10000–29999 that depends on the process, so
// that the packages of one run do not meet.
var ports atomic.Int64

func nextPort() int {
	return 10000 + int((int64(os.Getpid())*97+ports.Add(1))%20000)
}
