package fault

// Subject is what an Error is about. Services choose their error codes by it, so the set is closed: it has only the
// values below. The zero Subject is nothing in particular.
type Subject struct{ name string }

// String returns the subject's name, as logs show it.
func (s Subject) String() string { return s.name }

// The subjects, in the words of the packages that use them.
var (
	AccessKey       = Subject{"access-key"}
	Action          = Subject{"action"}
	Agent           = Subject{"agent"}
	ARN             = Subject{"arn"}
	Attachment      = Subject{"attachment"}
	Body            = Subject{"body"}
	Caller          = Subject{"caller"}
	DryRun          = Subject{"dry-run"}
	Enrollment      = Subject{"enrollment"}
	EventCategory   = Subject{"event-category"}
	ExpiredRequest  = Subject{"expired-request"}
	ExpiredSession  = Subject{"expired-session"}
	Filter          = Subject{"filter"}
	Grant           = Subject{"grant"}
	Group           = Subject{"group"}
	Host            = Subject{"host"}
	HostKey         = Subject{"host-key"}
	HostReport      = Subject{"host-report"}
	HostToken       = Subject{"host-token"}
	IDs             = Subject{"ids"}
	Incomplete      = Subject{"incomplete"}
	Instance        = Subject{"instance"}
	InstanceID      = Subject{"instance-id"}
	InstanceType    = Subject{"instance-type"}
	Lifetime        = Subject{"lifetime"}
	Link            = Subject{"link"}
	LookupAttribute = Subject{"lookup-attribute"}
	Membership      = Subject{"membership"}
	MissingToken    = Subject{"missing-token"}
	Name            = Subject{"name"}
	Operation       = Subject{"operation"}
	OSUser          = Subject{"os-user"}
	PageSize        = Subject{"page-size"}
	PageToken       = Subject{"page-token"}
	Parameter       = Subject{"parameter"}
	ParameterValue  = Subject{"parameter-value"}
	Parameters      = Subject{"parameters"}
	Path            = Subject{"path"}
	PlainHttp       = Subject{"plain-http"}
	Policy          = Subject{"policy"}
	PolicyDocument  = Subject{"policy-document"}
	PolicyVersion   = Subject{"policy-version"}
	Program         = Subject{"program"}
	PublicKey       = Subject{"public-key"}
	Rate            = Subject{"rate"}
	Region          = Subject{"region"}
	RegionName      = Subject{"region-name"}
	Release         = Subject{"release"}
	Request         = Subject{"request"}
	ResourceID      = Subject{"resource-id"}
	Server          = Subject{"server"}
	Service         = Subject{"service"}
	Session         = Subject{"session"}
	Signature       = Subject{"signature"}
	Skew            = Subject{"skew"}
	Sshd            = Subject{"sshd"}
	Tag             = Subject{"tag"}
	TagKeys         = Subject{"tag-keys"}
	Text            = Subject{"text"}
	TimeRange       = Subject{"time-range"}
	User            = Subject{"user"}
	Zone            = Subject{"zone"}
)
