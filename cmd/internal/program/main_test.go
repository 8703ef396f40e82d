package program

import (
	"testing"

	"github.com/portico-id/portico/internal/built"
	"github.com/portico-id/portico/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, built.Remove) }
