package main

import (
	"fmt"
	"runtime"
)

type versionCommand struct{}

func (versionCommand) Run(term terminal) error {
	_, err := fmt.Fprintf(term.out, "sallyport %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
