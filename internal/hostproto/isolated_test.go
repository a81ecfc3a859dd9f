package hostproto_test

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/isolated"
)

func TestMain(m *testing.M) { os.Exit(isolated.Run(m)) }
