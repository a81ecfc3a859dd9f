package main

import (
	"fmt"
	"io"
	"time"
)

// progress shows steps as they are taken, one a line: its name at once, then how it went and how long it took.
type progress struct {
	out  io.Writer
	open bool // a line waits for its end
}

// step does one thing. do returns what to say of it.
func (p *progress) step(name string, do func() (note string, err error)) error {
	began := time.Now()
	fmt.Fprintf(p.out, "  %-24s ", name)
	p.open = true
	note, err := do()
	if !p.open { // the step had things to say: end on a line of its own
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

// detail is something said while a step is under way.
func (p *progress) detail(text string) {
	if p.open {
		fmt.Fprintln(p.out, "…")
		p.open = false
	}
	fmt.Fprintf(p.out, "    %s\n", text)
}
