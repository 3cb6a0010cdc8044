// The codes of findings. Istio's (messages of its analyzers, https://istio.io/latest/docs/reference/config/
// analysis) keep their meaning; ours are in tens by stage, and FL01NN is trap NN of the published pattern.

package enum Code {
    // MARK: reading
    static let unreadable = "FL0001"
    static let notYAML = "FL0002"
    static let notAnObject = "FL0003"
    static let unknownKind = "FL0004"
    static let unknownField = "FL0005"
    static let invalid = "FL0006"
    static let limit = "FL0007"
    static let duplicateObject = "FL0008"

    // MARK: not there yet
    static let kindNotSupported = "FL0010"
    static let fieldNotSupported = "FL0011"
    static let protocolNotSupported = "FL0012"

    // MARK: proxy, policy, lanes
    static let proxyChoice = "FL0020"
    static let severalPolicies = "FL0021"
    static let secretUnreadable = "FL0022"
    static let laneWithoutPolicy = "FL0023"
    static let duplicateLane = "FL0024"
    static let laneExpired = "FL0025"
    static let laneServiceUnknown = "FL0026"
    static let laneSelectsNothing = "FL0027"
    static let memberOfTwoLanes = "FL0028"
    static let cookieScope = "FL0029"
    static let listenerConflict = "FL0030"
    static let nothingToServe = "FL0031"
    static let listenerNotServed = "FL0034"
    static let nothingStable = "FL0035"
    package static let cannotListen = "FL0032"
    package static let cannotCompile = "FL0033"

    // MARK: TLS
    static let certificate = "FL0050"
    static let certificateExpired = "FL0051"
    static let weakTLS = "FL0052"
    static let identityMissing = "FL0053"
    static let mutualTLSConflict = "FL0054"

    // MARK: routing
    static let delegate = "FL0042"
    static let deprecated = "FL0043"
    static let weights = "FL0044"
    static let subsetWithoutLabels = "FL0045"
    static let targetPort = "FL0046"
    static let sidecarConflict = "FL0047"
    static let routeUnattached = "FL0060"
    static let referenceNotPermitted = "FL0061"
    static let backendKind = "FL0062"
    static let routeConflict = "FL0063"
    static let ruleWithoutBackend = "FL0064"

    // MARK: EnvoyFilter
    static let filterNotApplied = "FL0070"
    static let scriptBroken = "FL0071"
    static let scriptWithoutFunctions = "FL0072"
    static let mixedRouteCache = "FL0073"

    // MARK: Ingress
    static let ingressConflict = "FL0080"
    static let canaryUnreachable = "FL0081"

    // MARK: the published pattern's traps (FL01NN: trap NN)
    static let responseOnlyLua = "FL0101"
    static let noDefaultRoute = "FL0102"
    static let duplicateSubset = "FL0104"
    static let collidingPatterns = "FL0105"
    static let cookieFromService = "FL0106"
    static let queryOnlyPromotion = "FL0107"
    static let weakCookie = "FL0108"
    static let rawQueryPattern = "FL0109"
    static let unvalidatedValue = "FL0110"
    static let stableSelectsFeature = "FL0112"

    // MARK: Istio's
    static let referenceNotFound = "IST0101"
    static let schema = "IST0106"
    static let conflictingMeshHosts = "IST0109"
    static let portRequired = "IST0112"
    static let portName = "IST0118"
    static let noAuthorities = "IST0128"
    static let noAuthoritiesOfPort = "IST0129"
    static let unreachableRule = "IST0130"
    static let ineffectiveMatch = "IST0131"
    static let hostNotInGateway = "IST0132"
    static let addressesRequired = "IST0134"
    static let duplicateCertificate = "IST0138"
    static let conflictingGateways = "IST0145"
    static let claimWithoutAuthentication = "IST0149"
    static let externalPortName = "IST0150"
    static let relativeFilter = "IST0151"
    static let replaceMisused = "IST0152"
    static let addMisused = "IST0153"
    static let removeMisused = "IST0154"
    static let relativeFilterOfVersion = "IST0155"
    static let badCredential = "IST0161"
    static let portNotOnWorkload = "IST0162"
    static let internalGateway = "IST0165"
    static let subsetSelectsNoPods = "IST0173"
    static let unknownRuleHost = "IST0174"
}
