package program

import (
	"os"
	"testing"

	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.Main(m, func() error {
		if binaryFolder == "" {
			return nil
		}
		return os.RemoveAll(binaryFolder)
	})
}
