// An OPC UA server for tests. Arguments: one JSON object; commands: one JSON object a line on stdin, each answered.
"use strict";
const readline = require("node:readline");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { coerceLocalizedText } = require("node-opcua-data-model");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { OPCUAServer } = require("node-opcua-server");
const { StatusCodes } = require("node-opcua-status-code");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");

const options = JSON.parse(process.argv[2]);
const variables = new Map();
const answer = (found) => process.stdout.write(JSON.stringify(found) + "\n");

const INITIAL = {
  double: [DataType.Double, 0.1],
  float: [DataType.Float, 0.5],
  int64: [DataType.Int64, [0x7fffffff, 0xffffffff]],
  uint64: [DataType.UInt64, [0xffffffff, 0xffffffff]],
  int16: [DataType.Int16, -32768],
  bool: [DataType.Boolean, true],
  text: [DataType.String, "läuft"],
  bytes: [DataType.ByteString, Buffer.from([0, 255])],
  time: [DataType.DateTime, new Date("2026-11-22T12:00:00.250Z")],
};

async function main() {
  const certificates = new OPCUACertificateManager({
    rootFolder: options.folder,
    automaticallyAcceptUnknownCertificate: true,
  });
  await certificates.initialize();
  const server = new OPCUAServer({
    port: options.port,
    hostname: "127.0.0.1",
    serverCertificateManager: certificates,
    userCertificateManager: certificates,
    securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss],
    securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
    allowAnonymous: options.anonymous,
    userManager: { isValidUser: (user, word) => user === "operator" && word === options.word },
    isAuditing: false,
    serverCapabilities: {
      maxSessions: options.sessions,
      operationLimits: {
        maxNodesPerRead: 7,
        maxNodesPerWrite: 2,
        maxNodesPerBrowse: 3,
        maxNodesPerTranslateBrowsePathsToNodeIds: 3,
        maxMonitoredItemsPerCall: 4,
      },
    },
    discoveryServerEndpointUrl: "",
    serverInfo: { applicationUri: "urn:skidlink:peer" },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const spaces = Object.fromEntries(options.namespaces.map((uri) => [uri, space.registerNamespace(uri)]));
  const own = spaces["urn:skid"];
  const folder = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "System", nodeId: "s=System" });
  const add = (name, dataType, value, more) => {
    const node = own.addVariable({ componentOf: folder, browseName: name, nodeId: `s=${name}`, dataType, ...more });
    node.setValueFromSource(new Variant({ dataType, value, arrayType: VariantArrayType.Scalar, ...(more && more.variant) }));
    variables.set(name, [node, dataType]);
  };
  for (const [name, [dataType, value]] of Object.entries(INITIAL)) add(name, dataType, value);
  for (let number = 0; number < 20; number++) add(`many${number}`, DataType.Double, number);
  const states = own.addEnumerationType({
    browseName: "States",
    enumeration: ["Closed", "Open", "Fault"].map((text, value) => ({ displayName: coerceLocalizedText(text), value })),
  });
  const valve = own.addVariable({ componentOf: folder, browseName: "valve", nodeId: "s=valve", dataType: states.nodeId });
  valve.setValueFromSource({ dataType: DataType.Int32, value: 1 });
  variables.set("valve", [valve, DataType.Int32]);
  add("array", DataType.Int32, new Int32Array([1, 2, 3]), {
    valueRank: 1,
    arrayDimensions: [3],
    variant: { arrayType: VariantArrayType.Array },
  });
  await server.start();
  answer({ ready: true });

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { name, value, status } = JSON.parse(line);
    const [node, dataType] = variables.get(name);
    const code = StatusCodes[status || "Good"];
    node.setValueFromSource(value === undefined ? node.readValue().value : new Variant({ dataType, value, arrayType: VariantArrayType.Scalar }), code);
    answer({ done: name });
  }
  await server.shutdown(0);
  process.exit(0);
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
