package sshd

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// findUnit returns how systemd starts an sshd if no daemon runs: for the first connection to a socket, for each
// connection, or when the service is started by hand. ok is false without systemd or such a unit. systemd shows the
// unit's arguments without quotation marks, so those around a value of -o are lost.
func findUnit(ctx context.Context) (started Started, ok bool) {
	services := append(socketServices(ctx), "ssh.service", "sshd.service")
	for _, service := range showUnits(ctx, "ExecStart,Environment,EnvironmentFiles", services...) {
		for _, command := range service["ExecStart"] {
			started, ok = service.started(command)
			if ok {
				return started, true
			}
		}
	}
	return Started{}, false
}

// socketServices returns the services that systemd starts for connections to the sockets it listens at.
func socketServices(ctx context.Context) []string {
	var services []string
	for _, socket := range showUnits(ctx, "Id,ActiveState,Accept,Triggers", "*.socket") {
		switch {
		case socket.get("ActiveState") != "active" && socket.get("ActiveState") != "activating":
		case socket.get("Accept") == "yes": // systemd.socket(5): each connection has an instance of the template
			services = append(services, strings.TrimSuffix(socket.get("Id"), ".socket")+"@0.service")
		default:
			services = append(services, strings.Fields(socket.get("Triggers"))...)
		}
	}
	return services
}

// unit holds the properties of a unit of systemd, each with its values.
type unit map[string][]string

func (u unit) get(property string) string { return strings.Join(u[property], " ") }

// showUnits asks systemd for properties of units. A pattern stands for all loaded units that match. The units have no
// properties if systemd does not answer.
func showUnits(ctx context.Context, properties string, names ...string) []unit {
	arguments := append([]string{"show", "--property=" + properties, "--"}, names...)
	output, _ := exec.CommandContext(ctx, "systemctl", arguments...).Output() // it fails if a name is unknown
	units := []unit{{}}
	for line := range strings.Lines(string(output)) {
		property, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if !ok {
			units = append(units, unit{}) // a blank line stands between two
			continue
		}
		last := units[len(units)-1]
		last[property] = append(last[property], value)
	}
	return units
}

// started reads an ExecStart as systemctl(1) shows it: "{ path=/usr/sbin/sshd ; argv[]=/usr/sbin/sshd -D $SSHD_OPTS ;
// ignore_errors=no ; … }". ok is false if the program is not sshd.
func (u unit) started(command string) (started Started, ok bool) {
	_, path, _ := strings.Cut(command, "path=")
	path, _, _ = strings.Cut(path, " ; ")
	_, arguments, _ := strings.Cut(command, "argv[]=")
	arguments = arguments[:max(0, strings.LastIndex(arguments, " ; ignore_errors="))]
	if filepath.Base(path) != "sshd" || arguments == "" {
		return Started{}, false
	}
	environment := u.environment()
	arguments = os.Expand(arguments, func(name string) string { return environment[name] })
	words := strings.Fields(strings.NewReplacer(`"`, "", `'`, "").Replace(arguments))
	options, _ := readFlags(words[1:], true)
	return Started{Program: path, Options: options}, true
}

// environment returns the variables that the unit sets, for its own command line. Variables from files take precedence:
// systemd.exec(5).
func (u unit) environment() map[string]string {
	variables := map[string]string{}
	for _, assignments := range u["Environment"] {
		for _, assignment := range splitWords(assignments) {
			name, value, _ := strings.Cut(assignment, "=")
			variables[name] = value
		}
	}
	for _, file := range u["EnvironmentFiles"] {
		path, _, _ := strings.Cut(file, " (ignore_errors=")
		text, _ := os.ReadFile(path)
		text = bytes.ReplaceAll(text, []byte("\\\n"), nil) // a backslash continues a line
		for line := range strings.Lines(string(text)) {
			name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if ok && !strings.HasPrefix(name, "#") && !strings.HasPrefix(name, ";") {
				variables[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
	}
	return variables
}
