package main

import (
	"fmt"
	"io"
	"time"
)

// progress prints each step on one line: its name when it begins, then its result and how long it took.
type progress struct {
	out  io.Writer
	open bool // the present line is unfinished
}

// step runs one step. do returns a note about the result.
func (p *progress) step(name string, do func() (note string, err error)) error {
	began := time.Now()
	fmt.Fprintf(p.out, "  %-24s ", name)
	p.open = true
	note, err := do()
	if !p.open { // details followed the name: print the result on a line of its own
		fmt.Fprintf(p.out, "  %-24s ", "")
	}
	p.open = false
	if err != nil {
		fmt.Fprintln(p.out, "failed")
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(p.out, "%s  (%.1f s)\n", note, time.Since(began).Seconds())
	return nil
}

// detail prints a line while a step is running.
func (p *progress) detail(text string) {
	if p.open {
		fmt.Fprintln(p.out, "…")
		p.open = false
	}
	fmt.Fprintf(p.out, "    %s\n", text)
}
