package enroll

import "github.com/sallyport/sallyport/internal/fault"

// Phase is the kind of a Step.
type Phase string

// The phases of a step.
const (
	Began  Phase = "began"
	Done   Phase = "done"
	Failed Phase = "failed"
	Warned Phase = "warning" // Text is for the user to read; enrollment goes on
	Noted  Phase = "note"
	Undone Phase = "undone" // Text is the change that was undone
)

// Step is one report of progress.
type Step struct {
	Phase Phase  `json:"phase"`
	Text  string `json:"text"`            // the step's name, or a message
	Error string `json:"error,omitempty"` // of a failed step
}

// Progress is called with each step as it happens, from one goroutine. A nil Progress is ignored.
type Progress func(Step)

func (p Progress) tell(step Step) {
	if p != nil {
		p(step)
	}
}

func (p Progress) begin(name string)  { p.tell(Step{Phase: Began, Text: name}) }
func (p Progress) warn(text string)   { p.tell(Step{Phase: Warned, Text: text}) }
func (p Progress) note(text string)   { p.tell(Step{Phase: Noted, Text: text}) }
func (p Progress) undone(what string) { p.tell(Step{Phase: Undone, Text: what}) }

func (p Progress) end(name string, err error) {
	if err != nil {
		p.tell(Step{Phase: Failed, Text: name, Error: fault.Explain(err)})
		return
	}
	p.tell(Step{Phase: Done, Text: name})
}
