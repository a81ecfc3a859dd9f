package enroll

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// Status describes the state of an enrollment.
type Status struct {
	Enrolled    bool             `json:"enrolled"`
	InstanceID  string           `json:"instanceId,omitempty"`
	Account     string           `json:"account,omitempty"`
	Region      string           `json:"region,omitempty"`
	Zone        string           `json:"zone,omitempty"`
	Server      string           `json:"server,omitempty"`
	Directory   string           `json:"directory"`
	Agent       string           `json:"agent,omitempty"` // "running", or why it does not answer
	Link        *host.LinkStatus `json:"link,omitempty"`
	KeysCommand string           `json:"keysCommand,omitempty"` // sshd's present AuthorizedKeysCommand
	SSHD        string           `json:"sshd,omitempty"`        // "asks us", or what is wrong
	NotFor      []string         `json:"notFor,omitempty"`      // the Match blocks for whose logins sshd does not ask us
	Problems    []string         `json:"problems,omitempty"`    // sentences: what keeps pushed keys from working
}

// The values of a healthy Status.
const (
	AgentRuns  = "running"
	SSHDAsksUs = "asks us"
)

// Healthy reports whether pushed keys work.
func (s Status) Healthy() bool {
	return s.Enrolled && s.Agent == AgentRuns && s.Link != nil && s.Link.Linked && s.SSHD == SSHDAsksUs &&
		len(s.Problems) == 0
}

// ReadStatus examines an enrollment. It is no error if the machine is not enrolled. ReadStatus needs root, to ask sshd
// and the agent.
func ReadStatus(ctx context.Context, directory string) (Status, error) {
	if directory == "" {
		directory = host.DefaultDirectory
	}
	status := Status{Directory: filepath.Clean(directory)}
	config, err := host.Load(status.Directory)
	if errors.Is(err, host.ErrNotEnrolled) {
		return status, nil
	}
	if err != nil {
		return status, fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"The enrollment in %s cannot be read: %v", status.Directory, err)
	}
	status.InstanceID, status.Account = config.InstanceID, config.Account
	status.Region, status.Zone, status.Server = config.Region, config.Zone, config.Server
	if os.Geteuid() != 0 {
		return status, fault.New(fault.Denied, fault.Enrollment, "Only root can ask the agent and sshd. Try again with sudo.")
	}
	m, err := readManifest(status.Directory)
	if err != nil {
		return status, err
	}
	status.Enrolled = m != nil && m.Complete
	status.Agent = AgentRuns
	if agent, err := host.AskStatus(config); err != nil {
		status.Agent = "does not answer: " + err.Error()
	} else {
		status.Link, status.Problems = &agent.Link, agent.Problems
	}
	path := cmp.Or(config.SSHDConfig, sshd.DefaultConfig)
	status.KeysCommand, status.SSHD = lookAtKeysCommand(ctx, path, status.Directory)
	status.Problems = slices.DeleteFunc(status.Problems, func(p string) bool { return p == status.SSHD })
	status.Problems = append(status.Problems, m.missing()...)
	exceptions, err := unasked(path, status.Directory)
	for _, o := range exceptions {
		status.NotFor = append(status.NotFor, o.String())
	}
	return status, err
}

// missing returns a sentence for each file that enrollment made and that is gone.
func (m *manifest) missing() []string {
	var sentences []string
	if m == nil {
		return nil
	}
	for _, c := range m.Changes {
		if _, err := os.Lstat(c.Path); c.Kind == madeFile && errors.Is(err, fs.ErrNotExist) {
			sentences = append(sentences, c.Path+" is gone: `sallyport-host enroll --repair` puts it back.")
		}
	}
	return sentences
}

func lookAtKeysCommand(ctx context.Context, path, directory string) (command, verdict string) {
	settings, why := host.AsksUs(ctx, path, host.KeysArguments(directory))
	return settings.KeysCommand().Command, cmp.Or(why, SSHDAsksUs)
}
