// What to do about a finding whose maker did not say: by the wording of the mistake, else by its code. No
// finding leaves without advice.

func remedy(_ code: String, _ message: String) -> String {
    for (words, advice) in remediesByWording where message.range(of: words) != nil { return advice }
    return remediesByCode[code] ?? "correct it, or take it out"
}

/// The first that fits counts.
private let remediesByWording: [(words: String, advice: String)] = [
    ("is missing", "add it"),
    ("exclude each other", "keep one of them"),
    ("given twice", "take one of them out"),
    ("names a group that the pattern does not have", "\\0 is the whole match, \\1 the first group"),
    ("longer than", "shorten it, or split it into several rules"),
    ("RE2:", "the syntax is RE2's: https://github.com/google/re2/wiki/Syntax"),
    ("must be a mapping", "fields below it are written `name: value`, indented"),
    ("must be a list", "elements begin with `- `, or stand in [ ]"),
    ("must be true or false", "write true or false without quotes"),
    ("must be an integer", "write the number without quotes"),
    ("must be a string", "write the text, in quotes where it looks like a number"),
    ("must be one of", "write one of these words"),
    ("is none of", "write one of these words"),
    ("outside", "take a number within these bounds"),
    ("is no host name", "labels of letters, digits and `-`, as in app.example.com"),
    ("is no host", "a host, or NAMESPACE/HOST, as in shop/app.example.com"),
    ("is no DNS label", "letters a-z, digits and `-`, at most 63, a letter or digit at both ends"),
    ("is no header name", "letters, digits and `-`, as in x-feature"),
    ("is no IP address", "as in 10.0.0.1 or 2001:db8::1"),
    ("needs a certificate", "credentialName, or serverCertificate and privateKey"),
    ("found unexpected ':'", "put values that hold colons in quotes"),
    ("not UTF-8", "save the file as UTF-8"),
    ("is empty", "give it a value, or take it out"),
]

private let remediesByCode: [String: String] = [
    Code.unreadable: "check the path and its permissions",
    Code.notYAML: "check indentation and quotes on that line and the one above",
    Code.notAnObject: "every document begins with apiVersion and kind",
    Code.unknownKind: "take it out of these paths, or correct apiVersion and kind",
    Code.unknownField: "take it out: an API server would not accept it",
    Code.invalid: "an API server refuses the object as it is: see the reference of its kind",
    Code.schema: "Istio refuses the object as it is: see the reference of its kind",
    Code.limit: "split what is larger into several objects or files",
    Code.duplicateObject: "take one of them out",
    Code.fieldNotSupported: "take it out where its effect is not needed",
    Code.kindNotSupported: "take it out where its effect is not needed",
    Code.protocolNotSupported: "HTTP, HTTPS, TCP, and TLS that passes through are opened",
    Code.severalPolicies: "keep one LanePolicy in the namespace",
    Code.secretUnreadable: "the file must be readable by the user that fairlead runs as",
    Code.laneWithoutPolicy: "a LanePolicy says by which names requests enter lanes",
    Code.duplicateLane: "lanes are told apart by name alone: rename one of them",
    Code.laneExpired: "renew spec.expires or spec.ttl, or take the Lane out",
    Code.laneServiceUnknown:
        "spec.members[].service is a Service's name, or NAME.NAMESPACE.svc.cluster.local",
    Code.laneSelectsNothing: "the selector's labels must all be on pods of the service",
    Code.nothingStable: "select the feature's pods alone, by a label that the others do not have",
    Code.memberOfTwoLanes: "give the pods of each lane a label of their own",
    Code.listenerConflict: "one address and port serves one protocol and each host once: move one of them",
    Code.nothingToServe:
        "an edge needs a Gateway, a Gateway API Gateway or an Ingress; a sidecar inbound or outbound",
    Code.cannotListen: "--port FROM=TO takes another port",
    Code.cannotCompile: "take the objects out that came last, and add them again one by one",
    Code.certificate: "PEM text: BEGIN CERTIFICATE, its chain behind it, and the key without a password",
    Code.certificateExpired: "renew the certificate",
    Code.delegate: "a delegate is a VirtualService without hosts that the root's namespace can see",
    Code.deprecated: "take it out",
    Code.routeUnattached: "compare parentRefs, hostnames and the listener's allowedRoutes",
    Code.routeConflict: "give one of them another hostname",
    Code.filterNotApplied: "compare the match with the listeners and filters there are",
    Code.scriptBroken: "the script is Lua 5.1, as Envoy runs it",
    Code.scriptWithoutFunctions: "define envoy_on_request(handle) or envoy_on_response(handle)",
    Code.mixedRouteCache: "give all scripts of a listener the same clearRouteCache",
    Code.ingressConflict: "the oldest counts: give one of them another host or path",
    Code.canaryUnreachable: "a canary needs an Ingress without the annotation for the same host and path",
    Code.replaceMisused: "use MERGE",
    Code.addMisused: "use INSERT_FIRST or MERGE",
    Code.removeMisused: "take the patch out: nothing is removed by it",
    Code.referenceNotFound: "check the name and its namespace",
    Code.unknownRuleHost:
        "a name without a dot is in the rule's own namespace; one with a dot is taken as it is",
]
