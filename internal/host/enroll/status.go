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

// Status is how an enrollment is.
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
	NotFor      []string         `json:"notFor,omitempty"`      // the Match blocks for whose logins it does not
	Problems    []string         `json:"problems,omitempty"`    // sentences: what else keeps pushed keys from working, or soon will
}

// The good words of a Status.
const (
	AgentRuns  = "running"
	SSHDAsksUs = "asks us"
)

// Healthy reports whether pushed keys work.
func (s Status) Healthy() bool {
	return s.Enrolled && s.Agent == AgentRuns && s.Link != nil && s.Link.Linked && s.SSHD == SSHDAsksUs &&
		len(s.Problems) == 0
}

// ReadStatus looks at an enrollment. A machine that is not enrolled is no error. sshd's settings and the agent
// answer to root only.
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
		return status, fault.Wrap(err, fault.WrongState, fault.Enrollment, "The enrollment in %s cannot be read: %v", status.Directory, err)
	}
	status.InstanceID, status.Account, status.Region, status.Zone = config.InstanceID, config.Account, config.Region, config.Zone
	status.Server = config.Server
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

// missing names, as sentences, the files that enrollment made and that are gone.
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
