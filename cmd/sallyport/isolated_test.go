package main

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/internal/testkit/isolated"
)

// becomeServe names, in the environment, the data directory of a test's process that is to be `sallyport serve`.
const becomeServe = "SALLYPORT_TEST_SERVE"

func TestMain(m *testing.M) {
	if data := os.Getenv(becomeServe); data != "" {
		os.Exit(run([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
	}
	os.Exit(isolated.Run(m))
}
